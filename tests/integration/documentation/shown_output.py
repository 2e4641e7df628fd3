"""What a page shows of an output, beside what was really printed."""

import re


def assert_printed(shown: str, printed: str, place: str) -> None:
    """Assert that the lines which a page shows were printed one below the other.

    Three dots stand for the rest of a word or line, and alone on a line for any number of lines.
    """
    lines = [_pattern(line) for line in shown.splitlines()]
    if not re.search("^" + "".join(lines), f"{printed}\n", re.MULTILINE):
        msg = f"{place} shows what was not printed\n--- shown ---\n{shown}\n--- printed ---\n{printed}"
        raise AssertionError(msg)


def _pattern(line: str) -> str:
    if line.strip() == "...":
        return r"(?:.*\n)*?"
    return re.escape(line.rstrip()).replace(re.escape("..."), ".*") + r"[ \t]*\n"
