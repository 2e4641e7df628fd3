"""Compiled code that does not run in the call is no evidence: nothing passes, and no counts are accepted."""

import pytest

CASE = """
import contextlib
import pytest
import small_pipeline
import torch
from pytest_diffopt import assert_no_graph_breaks, assert_no_recompiles

class Disabled(small_pipeline.SmallUNet):
    def forward(self, latents, timestep):
        return self.outside_of_every_graph(latents, timestep)

    @torch.compiler.disable
    def outside_of_every_graph(self, latents, timestep):
        return super().forward(latents, timestep)

class WithoutOperators(small_pipeline.SmallUNet):
    def forward(self, latents, timestep):
        return latents

def compiled(unet=small_pipeline.SmallUNet):
    pipeline = small_pipeline.build(unet)
    pipeline.unet.compile(backend="eager", dynamic=False)
    return pipeline

def replaced():
    pipeline = small_pipeline.build()
    unet = pipeline.unet
    pipeline.unet = torch.compile(unet, backend="eager", dynamic=False)
    pipeline(**small_pipeline.inputs())
    pipeline.unet = unet
    return pipeline

@pytest.fixture
def optimized_pipeline():
    return {built}

@pytest.fixture
def pipeline_inputs():
    return small_pipeline.inputs()

def test_it(optimized_pipeline, pipeline_inputs, compile_baseline):
    {check}
"""
COUNTS = "compile_baseline.check(optimized_pipeline, **pipeline_inputs)"
BREAKS = "assert_no_graph_breaks(optimized_pipeline, **pipeline_inputs)"
RECOMPILES = "assert_no_recompiles(optimized_pipeline, [pipeline_inputs, pipeline_inputs])"
AFTER_THE_FIRST_CALL = f"with contextlib.suppress(AssertionError):\n        {BREAKS}\n    {COUNTS}"
NOT_IN_THE_CALL = {
    "compiled(Disabled)": "Disabled.forward  1 graph with 0 operators",
    "compiled(WithoutOperators)": "WithoutOperators.forward  1 graph with 0 operators",
    "replaced()": "SmallUNet.forward  1 graph with 7 operators",
}
HINT = (
    "compile what this call uses: the compiled functions captured no operator (a graph break, torch.compiler.disable), "
    "or were compiled before and are no longer called"
)


def run(project: pytest.Pytester, built: str, check: str, *options: str) -> pytest.RunResult:
    """Run one check of a pipeline."""
    project.makepyfile(test_it=CASE.format(built=built, check=check))
    return project.runpytest_inprocess("--tb=short", *options)


@pytest.mark.parametrize("check", [COUNTS, AFTER_THE_FIRST_CALL], ids=["first call", "later call"])
@pytest.mark.parametrize("built", NOT_IN_THE_CALL)
def test_counts_without_compiled_code_are_never_accepted(project: pytest.Pytester, built: str, check: str) -> None:
    """Whether the check makes the first call or finds it made; with permission to write, too."""
    result = run(project, built, check, "--diffopt-update", "missing")

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "diffopt: no compiled graph ran in the call: nothing was checked",
            f"  {NOT_IN_THE_CALL[built]}",
            "seen in pipeline SmallPipeline (weights: the user's own)",
            HINT,
        ],
        consecutive=True,
    )
    assert not (project.path / "baselines").exists()


@pytest.mark.parametrize("built", ["compiled(WithoutOperators)", "replaced()"])
def test_no_graph_break_proves_nothing_without_a_graph(project: pytest.Pytester, built: str) -> None:
    """A module with a graph break fails by its line instead."""
    result = run(project, built, BREAKS)

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        ["diffopt: no compiled graph ran in the call: nothing was checked", f"  {NOT_IN_THE_CALL[built]}"],
        consecutive=True,
    )


@pytest.mark.parametrize("built", NOT_IN_THE_CALL)
def test_no_recompile_proves_nothing_without_a_graph(project: pytest.Pytester, built: str) -> None:
    """Each call without one is named."""
    result = run(project, built, RECOMPILES)

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "diffopt: no compiled graph ran in 2 of 2 varied calls: nothing was checked",
            "  call 1, call 2",
            "seen in pipeline SmallPipeline (weights: the user's own)",
            HINT,
        ],
        consecutive=True,
    )


@pytest.mark.parametrize("check", [COUNTS, AFTER_THE_FIRST_CALL, BREAKS, RECOMPILES])
def test_compiled_code_that_runs_is_evidence(project: pytest.Pytester, check: str) -> None:
    """The clean counterpart."""
    run(project, "compiled()", check, "--diffopt-update", "missing").assert_outcomes(passed=1)
