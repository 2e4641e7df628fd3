"""GitHub's Markdown: any text in it is shown as it is, and none of it is obeyed."""

import html
import re
from collections.abc import Iterable

# Every character that Markdown, HTML, a table, a mention, an emoji, a link or a formula begins or ends with.
_ACTIVE = re.compile(r"[&<>\"'\\|`*_\[\]!~@:#$^]")
_BACKTICKS = re.compile(r"`+")
_LONGEST_CELL = 300
_SHORTEST_FENCE = 3


def text(content: str) -> str:
    """Write a text in one line; names and paths belong into `code`."""
    line = " ".join(_printable(content).split())
    shown = line if len(line) <= _LONGEST_CELL else line[:_LONGEST_CELL] + "..."
    # An entity is never the beginning of markup, wherever it stands; a backslash is not enough within a table.
    return _ACTIVE.sub(lambda found: f"&#{ord(found[0])};", shown)


def code(content: str) -> str:
    """Write a name in one line, in the typewriter font; nobody is mentioned in there."""
    return f"<code>{text(content)}</code>" if content else ""


def linked(content: str, url: str) -> str:
    """Write a name as `code` does, as a link."""
    return f'<a href="{html.escape(url)}">{code(content)}</a>'


def fenced(lines: Iterable[str]) -> str:
    """Write lines as a block of code, within a fence that is longer than any in them."""
    block = "\n".join(_printable(line) for line in lines)
    longest = max((len(run) for run in _BACKTICKS.findall(block)), default=0)
    fence = "`" * max(_SHORTEST_FENCE, longest + 1)
    return f"{fence}text\n{block}\n{fence}"


def row(cells: Iterable[str]) -> str:
    """Write a row of a table from cells that are Markdown already."""
    return f"| {' | '.join(cells)} |"


def head(names: Iterable[str]) -> str:
    """Write the head of a table."""
    names = list(names)
    return f"{row(names)}\n{row('---' for _ in names)}"


def folded(title: str, body: str) -> str:
    """Write a part that is closed until somebody opens it, from Markdown."""
    return f"<details><summary>{title}</summary>\n\n{body}\n\n</details>"


def _printable(content: str) -> str:
    """Replace what has no shape of its own, such as what turns the direction of writing around."""
    return "".join(character if character.isprintable() else " " for character in content)
