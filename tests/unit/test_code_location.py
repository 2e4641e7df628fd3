"""A finding names the line that a person would mend, by the path that they would search for."""

import json
import sys
from pathlib import Path

import diffusers
import pytest
import torch

from pytest_diffopt import code_location
from pytest_diffopt.code_location import UNKNOWN_LOCATION, is_machinery, locate, shorten, users_frame, users_line


def test_the_callers_line_is_found() -> None:
    """With its text, and readable as `file:line`."""
    where = users_line()

    assert where.function == "test_the_callers_line_is_found"
    assert where.source == "where = users_line()"
    assert str(where) == f"{where.file}:{where.line}"
    assert where.file.endswith("test_code_location.py")


def test_machinery_between_is_passed_over() -> None:
    """A line in the standard library or in torch only carries out what somebody wrote."""
    found = []
    json.loads("{}", object_hook=lambda _: found.append(users_line()))
    torch.nn.Module().apply(lambda _: found.append(users_line()))

    assert {where.function for where in found} == {"<lambda>"}
    assert {where.file for where in found} == {users_line().file}


def test_without_a_frame_of_anybodys_the_place_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rather than a wrong one."""
    monkeypatch.setattr(code_location, "is_machinery", lambda _: True)

    assert users_frame(sys._getframe()) is None
    assert users_line() is UNKNOWN_LOCATION


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (torch.__file__, True),
        (json.__file__, True),
        (code_location.__file__, True),
        ("<frozen importlib>", True),
        (diffusers.__file__, False),
        (__file__, False),
        ("/somewhere/else.py", False),
    ],
)
def test_what_is_machinery(path: str, *, expected: bool) -> None:
    """diffusers is not: its schedulers are where a wait is mended."""  # noqa: D403 - diffusers writes itself small
    assert is_machinery(path) is expected


def test_paths_are_cut_at_the_import_root(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Site-packages and the working folder go; a stranger's path stays."""
    monkeypatch.chdir(tmp_path)

    assert shorten(str(Path(diffusers.__file__).parent / "schedulers/scheduling_ddim.py")) == (
        "diffusers/schedulers/scheduling_ddim.py"
    )
    assert shorten(str(tmp_path / "pipelines/mine.py")) == "pipelines/mine.py"
    assert shorten("/somewhere/else.py") == "/somewhere/else.py"


def test_a_file_that_cannot_be_read_has_no_source() -> None:
    """Its place is told all the same."""
    where = locate("/somewhere/else.py", 3, "step")

    assert (str(where), where.function, where.source) == ("/somewhere/else.py:3", "step", "")
