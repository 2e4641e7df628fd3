"""A section of a page that a command writes, between two lines that mark it."""

from collections.abc import Sequence
from pathlib import Path

from pytest_diffopt.errors import DiffoptError


def with_section(page: str, begin: str, end: str, section: str) -> str | None:
    """Return a page with another text between its markers, which stay; None if it lacks one, or their order.

    Args:
        page: the text of the page.
        begin: the marker before the section.
        end: the marker after it.
        section: what is between the markers, its line breaks included.
    """
    before, found_begin, rest = page.partition(begin)
    _, found_end, after = rest.partition(end)
    return f"{before}{begin}{section}{end}{after}" if found_begin and found_end else None


class PageError(DiffoptError):
    """A page lacks the comments that delimit a generated section."""


def replace_section(page: Path, section: str, lines: Sequence[str]) -> None:
    """Replace the lines between the two comments that begin and end a section.

    Args:
        page: a Markdown file.
        section: name of the section in the comments, as in `<!-- begin: section -->`.
        lines: the new lines.

    Raises:
        PageError: the page lacks one of the comments.
    """
    begin, end = f"<!-- begin: {section} -->", f"<!-- end: {section} -->"
    text = with_section(page.read_text(encoding="utf-8"), begin, end, "\n".join(["", "", *lines, "", ""]))
    if text is None:
        msg = f"{page} must contain the lines {begin} and {end}, in this order; the lines between them are replaced"
        raise PageError(msg)
    page.write_text(text, encoding="utf-8")
