"""Compare the output that a page shows with the printed output."""

import re


def assert_printed(shown: str, printed: str, place: str) -> None:
    """Assert that the shown lines were printed consecutively.

    Three dots match the rest of a word or line; alone on a line they match any number of lines.
    """
    lines = [_pattern(line) for line in shown.splitlines()]
    if not re.search("^" + "".join(lines), f"{printed}\n", re.MULTILINE):
        msg = f"{place} shows what was not printed\n--- shown ---\n{shown}\n--- printed ---\n{printed}"
        raise AssertionError(msg)


def _pattern(line: str) -> str:
    if line.strip() == "...":
        return r"(?:.*\n)*?"
    return re.escape(line.rstrip()).replace(re.escape("..."), ".*") + r"[ \t]*\n"
