"""In a GitHub Actions job failures are annotated at their lines; elsewhere no command is printed."""

import pytest

SYNCING = """
from injected_verdicts import syncs

def test_syncs():
    syncs(2, 2)
"""
COMMAND = (
    "::error file=own_pipeline.py,line=2,title=diffopt%3A syncs::the denoise loop synchronizes the CPU with the GPU: "
    "2 syncs per step (0 allowed) [test_it.py::test_syncs]"
)


@pytest.fixture
def syncing(injected: pytest.Pytester) -> pytest.Pytester:
    """Return a project whose pipeline syncs in its second line."""
    injected.makepyfile(test_it=SYNCING, own_pipeline="\npass")
    return injected


def test_the_line_that_syncs_is_annotated(syncing: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    """The command is on a line of its own, without colors."""
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_WORKSPACE", str(syncing.path))
    result = syncing.runpytest_inprocess("--color=yes")

    assert COMMAND in result.outlines


def test_outside_of_github_actions_nothing_is_annotated(syncing: pytest.Pytester) -> None:
    """No command is printed."""
    syncing.runpytest_inprocess().stdout.no_fnmatch_line("*::error*")


@pytest.mark.usefixtures("warm_processes")
def test_with_xdist_the_line_is_annotated_once(syncing: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the controller prints annotations."""
    pytest.importorskip("xdist")
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    result = syncing.runpytest_subprocess("-p", "xdist", "-n", "1", "-p", "no:benchmark", timeout=600)

    assert result.outlines.count(COMMAND) == 1
