"""Test that only the lines between the two comments of a section are replaced."""

from pathlib import Path

import pytest

from benchmarks.marked_section import PageError, replace_section

PAGE = "# Title\n\n<!-- begin: faults -->\nold\n<!-- end: faults -->\n\nBelow.\n"


def test_section_is_replaced_repeatedly(tmp_path: Path) -> None:
    """The text around the section is unchanged, and a second replacement gives the same page."""
    page = tmp_path / "page.md"
    page.write_text(PAGE, encoding="utf-8")
    replace_section(page, "faults", ["one", "two"])
    once = page.read_text(encoding="utf-8")
    replace_section(page, "faults", ["one", "two"])

    assert once == "# Title\n\n<!-- begin: faults -->\n\none\ntwo\n\n<!-- end: faults -->\n\nBelow.\n"
    assert page.read_text(encoding="utf-8") == once


@pytest.mark.parametrize("text", ["", "<!-- begin: faults -->", "<!-- end: faults --><!-- begin: faults -->"])
def test_page_without_comments_is_refused(tmp_path: Path, text: str) -> None:
    """The error lists the required comments, and the page is unchanged."""
    page = tmp_path / "page.md"
    page.write_text(text, encoding="utf-8")

    with pytest.raises(PageError, match=r"must contain the lines <!-- begin: faults --> and <!-- end: faults -->"):
        replace_section(page, "faults", ["one"])
    assert page.read_text(encoding="utf-8") == text
