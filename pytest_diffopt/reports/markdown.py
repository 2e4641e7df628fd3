"""GitHub Markdown in which any text is shown literally."""

import html
import re
from collections.abc import Iterable, Iterator
from itertools import pairwise

from pytest_diffopt.printable import printable_line

# Each character that can begin or end markup, HTML, a table cell, a mention, an emoji, a link or a formula.
_ACTIVE = re.compile(r"[&<>\"'\\|`*_\[\]!~@:#$^]")
# GitHub finds mentions, references, addresses and links in the rendered text, in which an entity is its character: only
# a character in between ends them. It is a zero-width space, as in comments of Dependabot.
_GAP = "&#8203;"
_ADDRESS = re.compile(r"(?<=www)(?=\.)|(?<=:)(?=//)|(?<=\S@)(?=\S)", re.IGNORECASE)
_REFERENCE = re.compile(rf"{_ADDRESS.pattern}|(?<=[@#])(?=\w)|(?<=\bGH)(?=-\d)", re.IGNORECASE)
# What begins a list, a heading or a rule at the beginning of a paragraph.
_BLOCK = re.compile(r"(?:[-+]|\d{1,9}[.)])(?:\s|$)|[-= ]+$")
_BACKTICKS = re.compile(r"`+")
_LONGEST_CELL = 300
_SHORTEST_FENCE = 3


def text(content: str) -> str:
    """Escape a text into one line, shortened to the length of a table cell. For names and paths use `code`."""
    return _escaped(content, _REFERENCE)


def code(content: str) -> str:
    """Format a name as inline code in one line, in which GitHub resolves neither mentions nor references."""
    return f"<code>{_escaped(content, _ADDRESS)}</code>" if content else ""


def _escaped(content: str, linked_by_github: re.Pattern[str]) -> str:
    line = " ".join(_printable(content).split())
    shown = line if len(line) <= _LONGEST_CELL else line[:_LONGEST_CELL] + "..."
    pieces = _pieces(shown, linked_by_github)
    # An entity never begins markup, at any position; a backslash escape does not work in every table cell.
    written = _GAP.join(_ACTIVE.sub(_entity, piece) for piece in pieces)
    return (_GAP if _BLOCK.match(shown) else "") + written


def _pieces(line: str, linked_by_github: re.Pattern[str]) -> Iterator[str]:
    """Yield the parts of a line between which a gap ends what GitHub would make a link or a mention."""
    places = [found.start() for found in linked_by_github.finditer(line)]
    for start, end in pairwise([0, *places, len(line)]):
        yield line[start:end]


def _entity(found: re.Match[str]) -> str:
    return f"&#{ord(found[0])};"


def linked(content: str, url: str) -> str:
    """Format a name as inline code that links to a URL."""
    return f'<a href="{html.escape(url)}">{code(content)}</a>'


def fenced(lines: Iterable[str]) -> str:
    """Format lines as a code block, with a fence longer than any run of backticks in them."""
    block = "\n".join(map(printable_line, lines))  # a summary can be printed in a job
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
