"""An optimization of the recipe that is not applied fails the test."""

import pytest

APPLIED = """
import pytest
import small_pipeline
import torch
from pytest_diffopt import assert_optimizations_applied

pytestmark = pytest.mark.diffopt(recipe="{recipe}")

@pytest.fixture
def optimized_pipeline(diffopt_recipe):
    pipeline = small_pipeline.build()
    diffopt_recipe.apply(pipeline)
    {altered}
    return pipeline

def test_applied(optimized_pipeline, pipeline_inputs):
    assert_optimizations_applied(optimized_pipeline{call})
"""
CALLED = ", **pipeline_inputs"


def run(project: pytest.Pytester, recipe: str, *, altered: str = "pass", call: str = "") -> pytest.RunResult:
    """Run the test on a pipeline that is altered after its recipe was applied."""
    project.makepyfile(test_it=APPLIED.format(recipe=recipe, altered=altered, call=call))
    return project.runpytest_inprocess()


def test_one_of_two_that_is_not_applied_fails(own_pipeline: pytest.Pytester) -> None:
    """The failure names the optimization, what was found, and what is missing where."""
    result = run(own_pipeline, "bf16 + channels_last", altered="pipeline.vae.to(torch.float32)")

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "diffopt: 1 of 2 optimizations is not applied",
            "  bf16: 6 of 8 parameters are bfloat16",
            "    missing: 2 of 2 parameters of vae are float32",
            "seen in pipeline SmallPipeline (weights: the user's own), recipe bf16 + channels_last",
            "fix how it is applied, or remove it from the recipe",
        ],
        consecutive=True,
    )


@pytest.mark.parametrize("recipe", ["bf16 + channels_last", "compile(target=['denoiser'], backend='eager')"])
def test_a_fully_applied_recipe_passes(own_pipeline: pytest.Pytester, recipe: str) -> None:
    """Only the pipeline itself is inspected."""
    result = run(own_pipeline, recipe, call=CALLED)

    result.assert_outcomes(passed=1)


def test_two_that_are_not_applied_are_counted(own_pipeline: pytest.Pytester) -> None:
    """Each has its own lines."""
    result = run(
        own_pipeline,
        "bf16 + channels_last",
        altered="pipeline.unet.to(torch.float32, memory_format=torch.contiguous_format)",
    )

    result.stdout.fnmatch_lines(
        [
            "diffopt: 2 of 2 optimizations are not applied",
            "  bf16: 2 of 8 parameters are bfloat16",
            "    missing: 6 of 6 parameters of unet are float32",
            "  channels_last: * convolution weights are channels_last",
            "    missing: 2 of 2 convolution weights of unet are NCHW",
        ],
        consecutive=True,
    )


def test_compiled_code_that_never_ran_fails(own_pipeline: pytest.Pytester) -> None:
    """A pipeline that bypasses its compiled module gains nothing from compiling it."""
    result = run(
        own_pipeline,
        "compile(target=['denoiser'], backend='eager')",
        altered="pipeline.step = lambda latents, timestep, steps: latents - pipeline.unet.forward(latents, timestep)",
        call=CALLED,
    )

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "diffopt: 1 of 1 optimization is not applied",
            '  compile(target=[[]"denoiser"[]], backend="eager"): compiled code ran for nothing',
            "    missing: unet is compiled, but its compiled code has not run",
        ],
        consecutive=True,
    )


def test_a_missing_recipe_is_an_error(own_pipeline: pytest.Pytester) -> None:
    """Without a recipe in the marker, the call or the pipeline there is nothing to verify."""
    own_pipeline.makepyfile(
        test_it="""
from pytest_diffopt import assert_optimizations_applied

def test_applied(optimized_pipeline):
    assert_optimizations_applied(optimized_pipeline)
"""
    )
    result = own_pipeline.runpytest_inprocess()

    result.assert_outcomes(failed=1)
    assert (
        "diffopt: no recipe names the optimizations of this SmallPipeline: mark the test with "
        '@pytest.mark.diffopt(recipe="...") or pass recipe="..."' in result.outlines
    )


def test_the_recipe_can_be_an_argument(own_pipeline: pytest.Pytester) -> None:
    """For a pipeline that other code optimized."""
    own_pipeline.makepyfile(
        test_it="""
from pytest_diffopt import assert_optimizations_applied

def test_applied(optimized_pipeline):
    assert_optimizations_applied(optimized_pipeline, recipe="fp32")

def test_not_applied(optimized_pipeline):
    assert_optimizations_applied(optimized_pipeline, recipe="fp16")
"""
    )
    result = own_pipeline.runpytest_inprocess()

    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["  fp16: 0 of 8 parameters are float16"])
