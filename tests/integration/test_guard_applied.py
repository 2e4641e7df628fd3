"""An optimization of the recipe that is not applied fails the test."""

import pytest

from pytest_diffopt.recipes import registry
from pytest_diffopt.recipes.registry import registered_optimizations

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


FLOAT8_STORAGE = """
import pytest
import torch
from pytest_diffopt import (
    ImageThresholds, Optimization, assert_no_syncs, assert_optimizations_applied, assert_same_images,
    register_optimization,
)

@register_optimization
class Float8Storage(Optimization):
    name = "float8_storage"

    def apply(self, pipeline):
        pipeline.unet.enable_layerwise_casting(storage_dtype=torch.float8_e4m3fn, compute_dtype=torch.bfloat16)

    def verify(self, pipeline):
        count = sum(one.dtype == torch.float8_e4m3fn for one in pipeline.unet.parameters())
        return self.state(f"{{count}} parameters in float8", [] if count else ["nothing is stored in float8"])

pytestmark = pytest.mark.diffopt(pipeline="sdxl", recipe="bf16 + sdpa + float8_storage")

@pytest.fixture
def service(optimized_pipeline):
    {altered}
    return optimized_pipeline

def test_applied(service):
    assert_optimizations_applied(service)

def test_no_syncs(service, pipeline_inputs):
    assert_no_syncs(service, **pipeline_inputs)

def test_image(service, reference_pipeline, pipeline_inputs):
    assert_same_images(service, reference_pipeline, thresholds=ImageThresholds(min_ssim=0.8), **pipeline_inputs)
"""


@pytest.fixture
def float8_storage(project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """Make a project that may register an optimization of its own."""
    monkeypatch.setattr(registry, "_KINDS", registered_optimizations())
    return project


def test_float8_storage_beside_bf16_passes(float8_storage: pytest.Pytester) -> None:
    """The optimization takes over the parameters whose dtype it changed, so that bf16 is not asked for them."""
    float8_storage.makepyfile(test_it=FLOAT8_STORAGE.format(altered="pass"))

    float8_storage.runpytest_inprocess().assert_outcomes(passed=3)


def test_lost_float8_storage_fails(float8_storage: pytest.Pytester) -> None:
    """A cast of the denoiser, as when a LoRA is loaded, gives up what the storage saves."""
    float8_storage.makepyfile(test_it=FLOAT8_STORAGE.format(altered="optimized_pipeline.unet.to(torch.bfloat16)"))
    result = float8_storage.runpytest_inprocess("-k", "test_applied")

    result.assert_outcomes(failed=1, deselected=2)
    result.stdout.fnmatch_lines(
        [
            "diffopt: 1 of 3 optimizations is not applied",
            "  float8_storage: 0 parameters in float8",
            "    missing: nothing is stored in float8",
            "    missing: * of * parameters that it stored in float8_e4m3fn are bfloat16",
        ],
        consecutive=True,
    )
