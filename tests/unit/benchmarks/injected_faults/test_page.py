"""A program writes between two comments of a page, and nowhere else."""

from pathlib import Path

import pytest

from benchmarks.injected_faults.page import PageError, replace_section

PAGE = "# Title\n\n<!-- begin: bugs -->\nold\n<!-- end: bugs -->\n\nBelow.\n"


def test_a_section_is_replaced_and_can_be_again(tmp_path: Path) -> None:
    """What is around it stays."""
    page = tmp_path / "page.md"
    page.write_text(PAGE, encoding="utf-8")
    replace_section(page, "bugs", ["one", "two"])
    once = page.read_text(encoding="utf-8")
    replace_section(page, "bugs", ["one", "two"])

    assert once == "# Title\n\n<!-- begin: bugs -->\n\none\ntwo\n\n<!-- end: bugs -->\n\nBelow.\n"
    assert page.read_text(encoding="utf-8") == once


@pytest.mark.parametrize("text", ["", "<!-- begin: bugs -->", "<!-- end: bugs --><!-- begin: bugs -->"])
def test_a_page_without_the_comments_is_left_as_it_is(tmp_path: Path, text: str) -> None:
    """And the error says what it lacks."""
    page = tmp_path / "page.md"
    page.write_text(text, encoding="utf-8")

    with pytest.raises(PageError, match=r"must hold the lines <!-- begin: bugs --> and <!-- end: bugs -->"):
        replace_section(page, "bugs", ["one"])
    assert page.read_text(encoding="utf-8") == text
