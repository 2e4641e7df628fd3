"""No text that is printed is a command for the runner of a GitHub Actions job."""

import re
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_diffopt.errors import DiffoptError
from pytest_diffopt.printable import printable_line, printable_lines


def is_command(line: str) -> bool:
    """Return whether the runner reads a line as a command: it ignores blanks before it, and combining marks."""
    read = "".join(character for character in line if not unicodedata.category(character).startswith("M")).lstrip()
    return read.startswith("::") or "##[" in read


@pytest.mark.parametrize(
    ("text", "printed"),
    [
        ("::error::stolen", ": :error::stolen"),
        ("  ::add-mask::a", "  : :add-mask::a"),
        (":::set-output name=a::b", ": ::set-output name=a::b"),
        ("a ##[add-matcher file=x]", "a ## [add-matcher file=x]"),
        ("name\n::error::stolen", "name ::error::stolen"),
        ("name\r::error::stolen", "name ::error::stolen"),
        ("\x1b[31m::error::", " [31m::error::"),
        ("\u200b::error::", " : :error::"),
        ("#\u034f#\u034f[error]", "## [error]"),
        ("tests/test_a.py::test_b[x]", "tests/test_a.py::test_b[x]"),
        ("caf\u0065\u0301 100 %", "caf\u0065\u0301 100 %"),
    ],
)
def test_a_line_is_no_command(text: str, printed: str) -> None:
    """A blank is put into the command; any other text is unchanged."""
    assert printable_line(text) == printed
    assert not is_command(printed)


def test_lines_are_kept() -> None:
    """Each is printed as a line of its own."""
    assert printable_lines("a\n::error::b\r\n  ##[c]\n") == "a\n: :error::b\n  ## [c]\n"


@settings(max_examples=500, deadline=None, database=None)
@given(st.text(alphabet=st.sampled_from(list(":#[ \n\r\t\u200b\u00ad\u0301\u034f\x1bae")), max_size=12))
def test_no_text_is_a_command(text: str) -> None:
    """Whatever characters are in between."""
    assert not any(map(is_command, re.split(r"[\r\n]", printable_lines(text))))


def test_a_message_of_this_package_is_no_command() -> None:
    """It contains names and texts of other exceptions."""
    assert str(DiffoptError("pipe() raised ValueError: a\n::error::b")) == "pipe() raised ValueError: a\n: :error::b"
