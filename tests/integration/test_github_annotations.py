"""In a job of GitHub Actions a failure is shown on its line; elsewhere no command is printed."""

import pytest

WAITING = """
from injected_verdicts import syncs

def test_syncs():
    syncs(2, 2)
"""
COMMAND = (
    "::error file=own_pipeline.py,line=2,title=diffopt%3A syncs::the denoise loop synchronizes the CPU with the GPU: "
    "2 syncs per step (0 allowed) [test_it.py::test_syncs]"
)


@pytest.fixture
def waiting(injected: pytest.Pytester) -> pytest.Pytester:
    """Make a project whose own pipeline waits in its second line."""
    injected.makepyfile(test_it=WAITING, own_pipeline="\npass")
    return injected


def test_the_line_that_waits_is_annotated(waiting: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    """The command stands at the beginning of a line of its own, without colors."""
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_WORKSPACE", str(waiting.path))
    result = waiting.runpytest_inprocess("--color=yes")

    assert COMMAND in result.outlines


def test_elsewhere_nothing_is_annotated(waiting: pytest.Pytester) -> None:
    """On a laptop it would be noise."""
    waiting.runpytest_inprocess().stdout.no_fnmatch_line("*::error*")


def test_spread_over_workers_it_is_annotated_once(waiting: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers tell their controller, and that tells GitHub."""
    pytest.importorskip("xdist")
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    result = waiting.runpytest_subprocess("-p", "xdist", "-n", "1", "-p", "no:benchmark", timeout=120)

    assert result.outlines.count(COMMAND) == 1
