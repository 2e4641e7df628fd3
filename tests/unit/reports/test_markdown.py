"""GitHub shows any text literally."""

import html
import re

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
        ("![x](a.png)", "&#33;&#91;x&#93;(a.png)"),
        (":bug: $x$", "&#58;bug&#58; &#36;x&#36;"),
        ("two\nlines\tand\r\nmore", "two lines and more"),
        ("a\u202eb\x1b[31m", "a b &#91;31m"),
        ("&amp;", "&#38;amp;"),
        ("sdxl bf16 + sdpa", "sdxl bf16 + sdpa"),
    ],
)
def test_markup_in_a_text_is_escaped(content: str, shown: str) -> None:
    """Tags, tables, code, emphasis, links, mentions, emoji, formulas, newlines and direction overrides."""
    assert text(content) == shown
    assert code(content) == f"<code>{shown}</code>"


@pytest.mark.parametrize(
    ("content", "in_text", "in_code"),
    [
        ("@team, do", "&#64;~team, do", "&#64;team, do"),
        ("owner/name#12", "owner/name&#35;~12", "owner/name&#35;12"),
        ("see GH-12", "see GH~-12", "see GH-12"),
        ("www.evil.example", "www~.evil.example", "www~.evil.example"),
        ("https://evil.example", "https&#58;~//evil.example", "https&#58;~//evil.example"),
        ("me@evil.example", "me&#64;~evil.example", "me&#64;~evil.example"),
        ("- [ ] x", "~- &#91; &#93; x", "~- &#91; &#93; x"),
        ("12. x", "~12. x", "~12. x"),
        ("a@ # www", "a&#64; &#35; www", "a&#64; &#35; www"),
    ],
)
def test_github_links_nothing_in_a_text(content: str, in_text: str, in_code: str) -> None:
    """A zero-width space, shown here as `~`, ends what GitHub would link; in code it links only addresses."""
    assert text(content) == in_text.replace("~", "&#8203;")
    assert code(content) == f"<code>{in_code.replace('~', '&#8203;')}</code>"


@settings(max_examples=300, deadline=None, database=None)
@given(st.text(max_size=100))
def test_a_text_never_leaves_its_cell(content: str) -> None:
    """The escaped text has no active character, and renders as the original."""
    written = text(content)

    assert not set(written) & set("<>|`*_[]@\n\r\\!~$")
    shown = html.unescape(written)
    assert shown.replace("\u200b", "") == " ".join("".join(c if c.isprintable() else " " for c in content).split())
    assert not re.search(r"[@#]\w|\S@\S|www\.|://|\bGH-\d", shown.replace("@\u200b", " "), re.IGNORECASE)


def test_a_long_text_is_shortened() -> None:
    """Table cells stay readable."""
    assert text("x" * 301) == "x" * 300 + "..."


@pytest.mark.parametrize("inside", ["plain", "```", "a ```` b", "`"])
def test_a_fence_is_longer_than_any_inside(inside: str) -> None:
    """No line of the content can close the block."""
    opening, *lines, closing = fenced([inside, "second"]).splitlines()

    assert lines == [inside, "second"]
    assert opening == closing + "text"
    assert set(closing) == {"`"}
    assert closing not in inside


def test_a_line_of_a_block_stays_one_line() -> None:
    """Newlines within a line become spaces."""
    assert fenced(["a\n```\nb"]).splitlines()[1:-1] == ["a ``` b"]


def test_tables_and_collapsed_sections() -> None:
    """In GitHub's syntax."""
    assert head(["a", "b"]) == "| a | b |\n| --- | --- |"
    assert row(["1", "2"]) == "| 1 | 2 |"
    assert folded("title", "body") == "<details><summary>title</summary>\n\nbody\n\n</details>"


def test_an_empty_name_is_empty() -> None:
    """It gives no empty code box."""
    assert not code("")


def test_name_and_url_of_a_link_are_escaped() -> None:
    """Neither can end the element."""
    assert linked("a[b]", "https://a/?b=1&c=\"2'") == (
        '<a href="https://a/?b=1&amp;c=&quot;2&#x27;"><code>a&#91;b&#93;</code></a>'
    )
