"""Replace a generated section of a page of the docs."""

from collections.abc import Sequence
from pathlib import Path

from benchmarks.marked_section import with_section
from pytest_diffopt.errors import DiffoptError


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
