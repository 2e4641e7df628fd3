"""GitHub Markdown in which any text is shown literally."""

import html
import re
from collections.abc import Iterable

# Each character that can begin or end markup, HTML, a table cell, a mention, an emoji, a link or a formula.
_ACTIVE = re.compile(r"[&<>\"'\\|`*_\[\]!~@:#$^]")
_BACKTICKS = re.compile(r"`+")
_LONGEST_CELL = 300
_SHORTEST_FENCE = 3


def text(content: str) -> str:
    """Escape a text into one line, shortened to the length of a table cell. For names and paths use `code`."""
    line = " ".join(_printable(content).split())
    shown = line if len(line) <= _LONGEST_CELL else line[:_LONGEST_CELL] + "..."
    # An entity never begins markup, at any position; a backslash escape does not work in every table cell.
    return _ACTIVE.sub(lambda found: f"&#{ord(found[0])};", shown)


def code(content: str) -> str:
    """Format a name as inline code in one line, in which GitHub resolves no mentions."""
    return f"<code>{text(content)}</code>" if content else ""


def linked(content: str, url: str) -> str:
    """Format a name as inline code that links to a URL."""
    return f'<a href="{html.escape(url)}">{code(content)}</a>'


def fenced(lines: Iterable[str]) -> str:
    """Format lines as a code block, with a fence longer than any run of backticks in them."""
    block = "\n".join(_printable(line) for line in lines)
    longest = max((len(run) for run in _BACKTICKS.findall(block)), default=0)
    fence = "`" * max(_SHORTEST_FENCE, longest + 1)
    return f"{fence}text\n{block}\n{fence}"


def row(cells: Iterable[str]) -> str:
    """Format a table row of cells that are already Markdown."""
    return f"| {' | '.join(cells)} |"


def head(names: Iterable[str]) -> str:
    """Format the header of a table."""
    names = list(names)
    return f"{row(names)}\n{row('---' for _ in names)}"


def folded(title: str, body: str) -> str:
    """Format a collapsed section of Markdown."""
    return f"<details><summary>{title}</summary>\n\n{body}\n\n</details>"


def _printable(content: str) -> str:
    """Replace each non-printable character by a space, such as one that changes the text direction."""
    return "".join(character if character.isprintable() else " " for character in content)
