"""`diffopt_stale_allowances`: an allowance that is no longer needed fails its assertion, or passes by policy."""

import pytest

STALE = """
import torch
from pytest_diffopt import (
    AllowedGraphBreaks, AllowedRecompiles, AllowedSyncs, assert_no_graph_breaks, assert_no_recompiles, assert_no_syncs
)

def read_once(x):
    return x.sum().item()

def test_gone():
    allowed = AllowedSyncs(where="scheduler.py:step", per_step=1, reason="an older release reads a table")
    assert_no_syncs(lambda x: x + 1, torch.ones(2), allow_syncs=[allowed])

def test_fewer():
    allowed = AllowedSyncs(where="test_it.py:read_once", per_step=2, reason="an older release reads it twice")
    assert_no_syncs(read_once, torch.ones(2), allow_syncs=[allowed])

def test_more():
    allowed = AllowedSyncs(where="scheduler.py:step", per_step=1, reason="an older release reads a table")
    assert_no_syncs(read_once, torch.ones(2), allow_syncs=[allowed])

def test_graph_break():
    allowed = AllowedGraphBreaks(where="unet.py:forward", break_reason="item", reason="an older release breaks")
    compiled = torch.compile(lambda x: x + 1, backend="eager")
    assert_no_graph_breaks(compiled, torch.ones(2), allow_graph_breaks=[allowed])

def test_recompile():
    allowed = AllowedRecompiles(where="unet.py:forward", guard="step", reason="an older release recompiles")
    compiled = torch.compile(lambda x: x + 2, backend="eager")
    assert_no_recompiles(compiled, [{"x": torch.ones(2)}], allow_recompiles=[allowed])
"""


@pytest.fixture
def stale(project: pytest.Pytester) -> pytest.Pytester:
    """Make a project whose allowances are those of an older release."""
    project.makepyfile(test_it=STALE)
    return project


def test_stale_allowances_fail(stale: pytest.Pytester) -> None:
    """So that what is gone cannot return unnoticed."""
    result = stale.runpytest_inprocess()

    result.assert_outcomes(failed=5)
    assert result.outlines.count("diffopt: 1 sync allowance is no longer needed") == 2
    assert "diffopt: 1 graph break allowance is no longer needed" in result.outlines
    assert "diffopt: 1 recompile allowance is no longer needed" in result.outlines


@pytest.mark.parametrize("place", ["command line", "ini"])
def test_stale_allowances_pass_by_policy(stale: pytest.Pytester, place: str) -> None:
    """The verdicts name their number; a sync that no allowance covers fails all the same."""
    if place == "ini":
        stale.makeini("[pytest]\naddopts = -p no:cacheprovider -p no:rerunfailures\ndiffopt_stale_allowances = pass")
    options = ["-o", "diffopt_stale_allowances=pass"] if place == "command line" else []
    result = stale.runpytest_inprocess("-v", *options)

    result.assert_outcomes(passed=4, failed=1)
    result.stdout.fnmatch_lines_random(
        [
            "passed *syncs*  0 syncs in 1 step; 1 allowance not needed",
            "passed *syncs*  1 sync in the first step, up to 0 in each later one; 1 allowance not needed",
            "passed *graph breaks*; 1 allowance not needed",
            "passed *recompiles*  0 recompiles in 1 varied call; 1 allowance not needed",
            "diffopt: the denoise loop synchronizes the CPU with the GPU: 1 sync in the first step (0 allowed)",
        ]
    )


def test_another_value_is_refused(project: pytest.Pytester) -> None:
    """In one sentence."""
    result = project.runpytest_inprocess("-o", "diffopt_stale_allowances=ignore")

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert "ERROR: diffopt_stale_allowances must be one of fail, pass, got: 'ignore'" in result.errlines
