"""Whatever a text holds, GitHub shows it as it is and obeys none of it."""

import html

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_diffopt.reports.markdown import code, fenced, folded, head, linked, row, text


@pytest.mark.parametrize(
    ("content", "shown"),
    [
        ("<script>alert(1)</script>", "&#60;script&#62;alert(1)&#60;/script&#62;"),
        ("a | b", "a &#124; b"),
        ("`rm`", "&#96;rm&#96;"),
        ("**bold** _it_ ~~no~~", "&#42;&#42;bold&#42;&#42; &#95;it&#95; &#126;&#126;no&#126;&#126;"),
        ("[x](javascript:1)", "&#91;x&#93;(javascript&#58;1)"),
        ("@everybody #12 :bug: $x$", "&#64;everybody &#35;12 &#58;bug&#58; &#36;x&#36;"),
        ("two\nlines\tand\r\nmore", "two lines and more"),
        ("a\u202eb\x1b[31m", "a b &#91;31m"),
        ("&amp;", "&#38;amp;"),
        ("sdxl bf16 + sdpa", "sdxl bf16 + sdpa"),
    ],
)
def test_markup_in_a_text_is_text(content: str, shown: str) -> None:
    """Tags, tables, code, emphasis, links, mentions, emoji, formulas, line ends and what turns writing around."""
    assert text(content) == shown
    assert code(content) == f"<code>{shown}</code>"


@settings(max_examples=300, deadline=None, database=None)
@given(st.text(max_size=100))
def test_a_text_never_leaves_its_cell(content: str) -> None:
    """It has no active character of its own, and reads as it was."""
    written = text(content)

    assert not set(written) & set("<>|`*_[]@\n\r\\!~$")
    assert html.unescape(written) == " ".join("".join(c if c.isprintable() else " " for c in content).split())


def test_a_long_text_is_cut() -> None:
    """A cell is for reading."""
    assert text("x" * 301) == "x" * 300 + "..."


@pytest.mark.parametrize("inside", ["plain", "```", "a ```` b", "`"])
def test_a_fence_is_longer_than_any_inside(inside: str) -> None:
    """So no line closes it."""
    opening, *lines, closing = fenced([inside, "second"]).splitlines()

    assert lines == [inside, "second"]
    assert opening == closing + "text"
    assert set(closing) == {"`"}
    assert closing not in inside


def test_a_line_of_a_block_stays_one_line() -> None:
    """A line end within a line would end the line."""
    assert fenced(["a\n```\nb"]).splitlines()[1:-1] == ["a ``` b"]


def test_tables_and_folds() -> None:
    """As GitHub writes them."""
    assert head(["a", "b"]) == "| a | b |\n| --- | --- |"
    assert row(["1", "2"]) == "| 1 | 2 |"
    assert folded("title", "body") == "<details><summary>title</summary>\n\nbody\n\n</details>"


def test_nothing_is_not_code() -> None:
    """An empty name has no box."""
    assert not code("")


def test_a_link_shows_a_name_and_leads_where_it_says() -> None:
    """Neither can end the other."""
    assert linked("a[b]", "https://a/?b=1&c=\"2'") == (
        '<a href="https://a/?b=1&amp;c=&quot;2&#x27;"><code>a&#91;b&#93;</code></a>'
    )
