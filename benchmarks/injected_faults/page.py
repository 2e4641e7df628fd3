"""A page of the docs of which one part is written by a program."""

from collections.abc import Sequence
from pathlib import Path

from pytest_diffopt.errors import DiffoptError


class PageError(DiffoptError):
    """A page lacks the lines between which a program writes."""


def replace_section(page: Path, section: str, lines: Sequence[str]) -> None:
    """Write lines between the two comments that begin and end a section.

    Args:
        page: a Markdown file.
        section: what the comments name: `<!-- begin: section -->`.
        lines: what stands between them from now on.

    Raises:
        PageError: the page lacks one of the comments.
    """
    text = page.read_text(encoding="utf-8")
    begin, end = f"<!-- begin: {section} -->", f"<!-- end: {section} -->"
    before, found_begin, rest = text.partition(begin)
    _, found_end, after = rest.partition(end)
    if not found_begin or not found_end:
        msg = f"{page} must hold the lines {begin} and {end}, in this order; what is between them is replaced"
        raise PageError(msg)
    page.write_text("\n".join([f"{before}{begin}", "", *lines, "", f"{end}{after}"]), encoding="utf-8")
