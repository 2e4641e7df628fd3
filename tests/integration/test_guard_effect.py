"""An optimization without effect in a call fails the test, and one that cannot be seen is unwatched."""

import pytest

EFFECTIVE = """
import pytest
import small_pipeline
import torch
from pytest_diffopt import assert_optimizations_effective

pytestmark = pytest.mark.diffopt(recipe="{recipe}")

@pytest.fixture
def optimized_pipeline(diffopt_recipe):
    pipeline = small_pipeline.build()
    diffopt_recipe.apply(pipeline)
    {altered}
    return pipeline

def test_effective(optimized_pipeline, pipeline_inputs):
    assert_optimizations_effective(optimized_pipeline{more}, **pipeline_inputs)
"""


def run(
    project: pytest.Pytester, recipe: str, *options: str, altered: str = "pass", more: str = ""
) -> pytest.RunResult:
    """Run the test on a pipeline that is altered after its recipe was applied."""
    project.makepyfile(test_it=EFFECTIVE.format(recipe=recipe, altered=altered, more=more))
    return project.runpytest_inprocess("-v", *options)


def test_one_of_two_without_effect_fails(own_pipeline: pytest.Pytester) -> None:
    """The failure names the optimization, its figure and what ran instead; the decoder alone has the effect."""
    result = run(
        own_pipeline, "bf16 + channels_last", altered="pipeline.unet.to(memory_format=torch.contiguous_format)"
    )

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "diffopt: 1 of 2 optimizations has no effect, or not everywhere",
            "  channels_last: 1 convolutions computed in channels_last",
            "    lacking: 6 convolutions of unet ran in NCHW",
            "seen in one call on the CPU, pipeline SmallPipeline (weights: the user's own), "
            "recipe bf16 + channels_last",
            "fix how it is applied or how the pipeline is called, or remove it from the recipe",
        ],
        consecutive=True,
    )


def test_a_recipe_with_an_effect_passes(own_pipeline: pytest.Pytester) -> None:
    """The verdict has the figure of each optimization."""
    result = run(own_pipeline, "bf16")

    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["*effect*bf16: 10 matrix products, convolutions and attention calls in bfloat16*"])


def test_an_effect_in_some_steps_only_fails(own_pipeline: pytest.Pytester) -> None:
    """A pipeline that changes the dtype in its last step has the effect in the others."""
    altered = (
        "step = pipeline.step; "
        "pipeline.step = lambda latents, timestep, number: "
        "(pipeline.to(torch.float32) if float(timestep) < 0.9 else None, step(latents.float() "
        "if pipeline.unet.dtype == torch.float32 else latents, timestep.to(pipeline.unet.dtype), number))[1]"
    )
    result = run(own_pipeline, "bf16", altered=altered)

    result.stdout.fnmatch_lines(["    per step: 3, 0, 0", "    lacking: nothing in steps 1, 2 of 3"])


def test_compiled_code_that_never_runs_fails(own_pipeline: pytest.Pytester) -> None:
    """A call that falls back to eager code after it was compiled runs no graph."""
    result = run(
        own_pipeline,
        "compile(target=['denoiser'], backend='eager')",
        altered="pipeline.unet._compiled_call_impl = torch.compiler.disable(pipeline.unet._call_impl)",
    )
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            '  compile(target=[[]"denoiser"], backend="eager"): 0 calls of compiled graphs',
            "    lacking: 3 of 3 calls of unet ran no compiled graph",
        ],
        consecutive=True,
    )


def test_compiled_code_that_runs_in_every_step_passes(own_pipeline: pytest.Pytester) -> None:
    """Each step runs one graph."""
    result = run(own_pipeline, "compile(target=['denoiser'], backend='eager')")

    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["*3 calls of compiled graphs*"])


@pytest.mark.parametrize("part", ["pipeline.unet", "pipeline.unet.conv_out"])
def test_a_wrapped_module_is_watched_without_a_warning(own_pipeline: pytest.Pytester, part: str) -> None:
    """Torch warns of global hooks where `torch.compile(module)` wraps a module, and the guard's are such."""
    wrapped = f"{part} = torch.compile({part}, backend='eager')"
    result = run(own_pipeline, "bf16", "-W", "error", altered=wrapped)

    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["*effect*bf16: 10 matrix products, convolutions and attention calls in bfloat16*"])


def test_a_wrapped_layer_of_torch_runs_its_graph(own_pipeline: pytest.Pytester) -> None:
    """Dynamo keeps the graph of a wrapped `Linear` with its own code, and not with that of the layer's class."""
    altered = (
        "pipeline.unet._compiled_call_impl = None; "
        "pipeline.unet.time = torch.compile(pipeline.unet.time, backend='eager')"
    )
    result = run(own_pipeline, "compile(target=['denoiser'], backend='eager')", altered=altered)

    result.stdout.fnmatch_lines(["*3 calls of compiled graphs*"])


def test_an_effect_that_this_device_cannot_show_is_unwatched(own_pipeline: pytest.Pytester) -> None:
    """The failure has the reason, and what to do."""
    result = run(own_pipeline, "tf32")

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "diffopt: the effect of 1 optimization cannot be seen in this call",
            "  tf32: only a GPU computes in TF32",
            "seen in one call on the CPU, pipeline SmallPipeline (weights: the user's own), recipe tf32",
            'run the test where it can be seen, or pass allow_unseen=["tf32"] to judge it only there',
        ],
        consecutive=True,
    )


def test_an_allowed_unseen_effect_passes(own_pipeline: pytest.Pytester) -> None:
    """The verdict shows that it was not seen."""
    result = run(own_pipeline, "tf32", more=", allow_unseen=['tf32']")

    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["*tf32: not seen (only a GPU computes in TF32)*"])


def test_a_call_that_computes_nothing_is_unwatched(own_pipeline: pytest.Pytester) -> None:
    """Modules that were replaced by functions run nothing that is watched."""
    altered = (
        "pipeline.unet.forward = lambda latents, timestep: latents; pipeline.decode = None; "
        "pipeline.vae.decode = lambda latents: latents[:, :3]"
    )
    result = run(own_pipeline, "fp32", altered=altered)

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "diffopt: no matrix product, convolution or attention of the call was seen: nothing was watched",
            "  1 optimization is requested",
        ],
        consecutive=True,
    )


def test_an_own_optimization_without_effect_method_is_unwatched(own_pipeline: pytest.Pytester) -> None:
    """The message names the method to define."""
    own_pipeline.makepyfile(
        test_it="""
import dataclasses
import pytest
import small_pipeline
from pytest_diffopt import Optimization, assert_optimizations_effective
from pytest_diffopt.recipes.recipe import Recipe

@dataclasses.dataclass(frozen=True, kw_only=True)
class Nothing(Optimization):
    name = "nothing"

    def apply(self, pipeline):
        pass

    def verify(self, pipeline):
        return self.state("nothing")

def test_effective(optimized_pipeline, pipeline_inputs):
    recipe = Recipe(optimizations=(Nothing(),))
    assert_optimizations_effective(optimized_pipeline, recipe=recipe, **pipeline_inputs)
"""
    )
    result = own_pipeline.runpytest_inprocess()

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["  nothing: Nothing defines no effect(pipeline, call)"])


def test_an_unknown_name_is_one_sentence(own_pipeline: pytest.Pytester) -> None:
    """With a suggestion."""
    result = run(own_pipeline, "tf32", more=", allow_unseen=['tf23']")

    result.stdout.fnmatch_lines(
        [
            "*assert_optimizations_effective(allow_unseen=...) must name optimizations, "
            "got: 'tf23' (did you mean 'tf32'?)"
        ]
    )
