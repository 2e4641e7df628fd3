"""A command has one line, and no text leaves its place in it."""

import pytest

from pytest_diffopt.reports.workflow_commands import Level, annotation


@pytest.mark.parametrize(
    ("command", "written"),
    [
        (annotation(Level.NOTICE, "done"), "::notice title=diffopt::done"),
        (annotation(Level.ERROR, "a\r\n::b 100%"), "::error title=diffopt::a%0D%0A::b 100%25"),
        (
            annotation(Level.ERROR, "m", title="a,b::c", file="x,file=y.py", line=3),
            "::error file=x%2Cfile=y.py,line=3,title=a%2Cb%3A%3Ac::m",
        ),
    ],
)
def test_texts_are_escaped(command: str, written: str) -> None:
    """As the runner unescapes them."""
    assert command == written
