"""The command in a failure works from the folder in which pytest was started."""

import shlex
from pathlib import Path

import pytest

TEST = """
import torch

class Denoiser(torch.nn.Module):
    def forward(self, x):
        return x * 2

def test_counts(count_baseline):
    count_baseline.check(Denoiser(), torch.ones(2))
"""
HINT = "to accept this: pytest "


@pytest.fixture
def nested(project: pytest.Pytester) -> pytest.Pytester:
    """Make a project with its test in a folder."""
    folder = project.mkdir("our checks")
    (folder / "test_it.py").write_text(TEST)
    (folder / "other").mkdir()
    return project


@pytest.mark.parametrize(
    ("start", "arguments", "expected"),
    [
        (".", [], ["our checks/test_it.py::test_counts"]),
        ("our checks", [], ["test_it.py::test_counts"]),
        ("our checks/other", [".."], ["../test_it.py::test_counts"]),
        (".", ["-c", "tox.ini"], ["-c", "tox.ini", "our checks/test_it.py::test_counts"]),
        (
            "our checks/other",
            ["-c", "../../tox.ini", "--rootdir=..", ".."],
            ["-c", "../../tox.ini", "--rootdir=..", "../test_it.py::test_counts"],
        ),
    ],
)
def test_the_command_accepts_the_baseline(
    nested: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, start: str, arguments: list[str], expected: list[str]
) -> None:
    """From the root folder, a folder below it, and with the user's own configuration file."""
    monkeypatch.chdir(Path(nested.path, start))
    result = nested.runpytest_inprocess(*arguments)
    hints = [line for line in result.stdout.lines if "--diffopt-update" in line]
    command = shlex.split(hints[0].partition(": pytest ")[2])
    accepting = nested.runpytest_inprocess(*command)
    again = nested.runpytest_inprocess(*arguments)

    result.assert_outcomes(failed=1)
    assert command[: len(expected)] == expected
    accepting.assert_outcomes(passed=1)
    again.assert_outcomes(passed=1)
