"""Step caches on pipelines that diffusers has them for: hits are counted, and a cache without hits fails."""

import pytest

#: The recipe of each cache, its hits in six steps, and the first line of the failure without them.
CACHES = {
    "first_block_cache(threshold=0.5)": 16,
    "pyramid_attention_broadcast(timesteps=[0, 1001])": 15,
    "faster_cache(timesteps=[-1, 700], guidance_distilled=True)": 10,
    "taylorseer_cache(interval=2, first_steps=1)": 15,
    "mag_cache(steps=6)": 15,
}
FIGURE = "calls of blocks or layers that were taken from the cache"
TWO_HALVES = """
import pytest
from pytest_diffopt import assert_optimizations_effective, parse_recipe
from pytest_diffopt.pipelines.loading import build_pipeline
from pytest_diffopt.pipelines.registry import find_pipeline
from pytest_diffopt.pipelines.scale import Scale

QWEN_IMAGE = find_pipeline("qwen-image")

def call(**changes):
    pipeline = build_pipeline(QWEN_IMAGE, Scale.TINY).pipeline
    parse_recipe("pyramid_attention_broadcast(timesteps=[0, 1001])").apply(pipeline)
    inputs = QWEN_IMAGE.inputs(Scale.TINY).varied("other guidance", **changes)
    assert_optimizations_effective(pipeline, **inputs)

def test_two_halves():
    prompt = QWEN_IMAGE.inputs(Scale.TINY)["prompt"]
    call(negative_prompt=prompt.replace("red", "blue"))

def test_one_half():
    call(true_cfg_scale=1.0)
"""


def test_attention_of_the_other_half_is_no_hit(project: pytest.Pytester) -> None:
    """Where the prompts are equally long, diffusers uses the conditional attention for the unconditional half."""
    project.makepyfile(test_it=TWO_HALVES)
    result = project.runpytest_inprocess("-W", "ignore", "-v")

    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(
        ["    lacking: 2 calls of transformer in a step share one state, and use what the others computed"]
    )
    result.stdout.fnmatch_lines(["*test_one_half PASSED*"])


TESTS = """
import pytest
import torch
from diffusers.hooks.first_block_cache import FBCHeadBlockHook
from pytest_diffopt import assert_optimizations_effective, parse_recipe
from pytest_diffopt.pipelines.flux import FLUX
from pytest_diffopt.pipelines.loading import build_pipeline
from pytest_diffopt.pipelines.scale import Scale

INPUTS = FLUX.inputs(Scale.TINY).varied("six steps", num_inference_steps=6)

def pipeline_of(recipe):
    pipeline = build_pipeline(FLUX, Scale.TINY).pipeline
    parse_recipe(recipe).apply(pipeline)
    return pipeline

@pytest.mark.parametrize("recipe", {recipes})
def test_clean(recipe):
    assert_optimizations_effective(pipeline_of(recipe), **INPUTS)

@pytest.mark.parametrize("recipe", {recipes})
def test_injected(recipe, monkeypatch):
    kind = type(parse_recipe(recipe).optimizations[0])
    monkeypatch.setattr(kind, "apply", lambda optimization, pipeline: None)
    assert_optimizations_effective(pipeline_of(recipe), **INPUTS)

def test_threshold_that_no_step_reaches():
    assert_optimizations_effective(pipeline_of("first_block_cache(threshold=0.0)"), **INPUTS)

@pytest.mark.parametrize("is_compiled", [True, False])
def test_beside_compiled_blocks(is_compiled):
    pipeline = pipeline_of(
        'first_block_cache(threshold=0.5) + compile(target=["denoiser"], regional=True, backend="eager")'
    )
    if not is_compiled:  # the last block, which the cache saves in some steps and not in all
        block = pipeline.transformer.single_transformer_blocks[-1]
        block._compiled_call_impl = torch.compiler.disable(block._call_impl)
    assert_optimizations_effective(pipeline, **INPUTS)

def test_residual_without_a_number(monkeypatch):
    # As in sgl-project/sglang#33827: the change is NaN, and no NaN is below a threshold.
    def decide(self, residual):
        return not bool((residual * torch.nan).mean() <= self.threshold)

    monkeypatch.setattr(FBCHeadBlockHook, "_should_compute_remaining_blocks", decide)
    assert_optimizations_effective(pipeline_of("first_block_cache(threshold=0.5)"), **INPUTS)
"""


def test_each_cache_hits_and_one_without_hits_fails(project: pytest.Pytester) -> None:
    """A cache that is enabled and never hits fails as one that was never enabled: its figure is zero.

    A compiled block that the cache saves need not run a graph in that step; in the others it must.
    """
    project.makepyfile(test_it=TESTS.format(recipes=list(CACHES)))
    result = project.runpytest_inprocess("-W", "ignore", "-v")

    result.assert_outcomes(passed=len(CACHES) + 1, failed=len(CACHES) + 3)
    result.stdout.fnmatch_lines_random(["    lacking: 2 of 30 calls of transformer ran no compiled graph"])
    for recipe, hits in CACHES.items():
        result.stdout.fnmatch_lines_random([f"*{recipe.partition('(')[0]}(*: {hits} {FIGURE}"])
    zero = [line for line in result.outlines if line.endswith(f": 0 {FIGURE}") and line.startswith("  ")]
    assert len(zero) == len(CACHES) + 2


OF_OTHERS = """
import diffusers
import torch
from diffusers.hooks.sea_cache import SeaCacheSharedState
from pytest_diffopt import assert_optimizations_effective, parse_recipe
from pytest_diffopt.pipelines.loading import build_pipeline
from pytest_diffopt.pipelines.registry import find_pipeline
from pytest_diffopt.pipelines.scale import Scale

WAN = find_pipeline("wan-t2v-1.3b").inputs(Scale.TINY).varied("six steps", num_inference_steps=6)
PROMPT = torch.randn(1, 7, 16, generator=torch.Generator().manual_seed(0))
MASK = torch.ones(1, 7, dtype=torch.long)
NUCLEUS = {
    "prompt_embeds": PROMPT, "prompt_embeds_mask": MASK, "height": 64, "width": 64, "num_inference_steps": 3,
    "negative_prompt_embeds": -PROMPT, "negative_prompt_embeds_mask": MASK, "output_type": "pt",
}

def wan(recipe="sea_cache(threshold=10.0)"):
    pipeline = build_pipeline(find_pipeline("wan-t2v-1.3b"), Scale.TINY).pipeline
    parse_recipe(recipe).apply(pipeline)
    return pipeline

def nucleus():
    vae = build_pipeline(find_pipeline("qwen-image"), Scale.TINY).pipeline.vae
    transformer = diffusers.NucleusMoEImageTransformer2DModel(
        in_channels=4 * vae.config.z_dim, out_channels=vae.config.z_dim, num_layers=2, attention_head_dim=16,
        num_attention_heads=2, joint_attention_dim=16, axes_dims_rope=(8, 4, 4), moe_enabled=False,
    )
    pipeline = diffusers.NucleusMoEImagePipeline(
        transformer=transformer, scheduler=diffusers.FlowMatchEulerDiscreteScheduler(), vae=vae, text_encoder=None,
        processor=None,
    )
    parse_recipe("text_kv_cache").apply(pipeline)
    return pipeline

def test_sea_cache():
    assert_optimizations_effective(wan(), **WAN)

def test_sea_cache_that_was_never_enabled(monkeypatch):
    monkeypatch.setattr(type(parse_recipe("sea_cache").optimizations[0]), "apply", lambda optimization, pipeline: None)
    assert_optimizations_effective(wan(), **WAN)

def test_sea_cache_that_computes_each_step(monkeypatch):
    # As diffusers does where it cannot decide.
    monkeypatch.setattr(SeaCacheSharedState, "resolve_gate", lambda *_: True)
    assert_optimizations_effective(wan(), **WAN)

def test_text_kv_cache():
    assert_optimizations_effective(nucleus(), **NUCLEUS)

def test_text_kv_cache_that_was_never_enabled(monkeypatch):
    kind = type(parse_recipe("text_kv_cache").optimizations[0])
    monkeypatch.setattr(kind, "apply", lambda optimization, pipeline: None)
    assert_optimizations_effective(nucleus(), **NUCLEUS)
"""


def test_caches_of_one_architecture(project: pytest.Pytester) -> None:
    """SeaCache of Wan and the text cache of Nucleus-Image: hits where they are enabled, else zero."""
    project.makepyfile(test_it=OF_OTHERS)
    result = project.runpytest_inprocess("-W", "ignore", "-v")

    result.assert_outcomes(passed=2, failed=3)
    text = "calls of blocks that took the prompt's keys and values from the cache"
    result.stdout.fnmatch_lines_random([f"*sea_cache(*: 24 {FIGURE}", f"*text_kv_cache*: 8 {text}"])
    assert sum(line.endswith(f": 0 {FIGURE}") and line.startswith("  ") for line in result.outlines) == 2
    assert sum(line.endswith(f": 0 {text}") and line.startswith("  ") for line in result.outlines) == 1


ON_ANOTHER = {
    "faster_cache": (
        "faster_cache needs the conditional and the unconditional half in one batch, and FluxPipeline calls its "
        "denoiser for each: write faster_cache(guidance_distilled=True)"
    ),
    "sea_cache": (
        "sea_cache reads the latents of Wan's text-to-video models and of Cosmos 3 only: on transformer "
        "(FluxTransformer2DModel) diffusers would compute every step"
    ),
    "text_kv_cache": (
        "text_kv_cache caches in the blocks of Nucleus-Image only, and transformer (FluxTransformer2DModel) has none "
        "of them"
    ),
}


@pytest.mark.parametrize("recipe", ON_ANOTHER)
def test_a_cache_that_does_not_fit_the_denoiser_is_refused(recipe: str) -> None:
    """Where diffusers would go on without it, or raise in a step; nothing of it stays on the denoiser."""
    from pytest_diffopt import parse_recipe  # noqa: PLC0415 - imports torch
    from pytest_diffopt.errors import RecipeError  # noqa: PLC0415 - imported with it
    from pytest_diffopt.pipelines.flux import FLUX  # noqa: PLC0415 - imported with it
    from pytest_diffopt.pipelines.loading import build_pipeline  # noqa: PLC0415 - imported with it
    from pytest_diffopt.pipelines.scale import Scale  # noqa: PLC0415 - imported with it

    pipeline = build_pipeline(FLUX, Scale.TINY).pipeline
    with pytest.raises(RecipeError) as error:
        parse_recipe(recipe).apply(pipeline)

    assert str(error.value) == ON_ANOTHER[recipe]
    assert not pipeline.transformer.is_cache_enabled


def test_first_block_cache_needs_blocks_of_one_kind() -> None:
    """The last blocks of FLUX.2 return no states of the prompt, and diffusers subtracts two kinds of results."""
    from pytest_diffopt import parse_recipe  # noqa: PLC0415 - imports torch
    from pytest_diffopt.errors import RecipeError  # noqa: PLC0415 - imported with it
    from pytest_diffopt.pipelines.flux2_klein import FLUX2_KLEIN  # noqa: PLC0415 - imported with it
    from pytest_diffopt.pipelines.loading import build_pipeline  # noqa: PLC0415 - imported with it
    from pytest_diffopt.pipelines.scale import Scale  # noqa: PLC0415 - imported with it

    pipeline = build_pipeline(FLUX2_KLEIN, Scale.TINY).pipeline
    with pytest.raises(RecipeError) as error:
        parse_recipe("first_block_cache").apply(pipeline)

    assert str(error.value) == (
        "first_block_cache needs blocks that all return the same states, and the first block of transformer "
        "(Flux2Transformer2DModel) also returns those of the prompt, which the last does not: diffusers would raise in "
        "the first step"
    )
    assert not pipeline.transformer.is_cache_enabled


REFUSED = {
    "first_block_cache + compile(fullgraph=True)": "which breaks the graph in every block: drop fullgraph=True",
    "first_block_cache + mag_cache": "contradict each other (a denoiser has one step cache)",
    "lora + fuse_qkv": "replace the layers that have the adapter, which is lost: write lora(fused=True)",
    "model_offload + group_offload": "a module is moved by one kind of hook",
    "int8_dynamic + layerwise_casting": "a quantized weight cannot be cast to float8",
    'model_offload + compile(mode="reduce-overhead")': (
        "compile and model_offload contradict each other (mode='reduce-overhead' records CUDA graphs for weights at "
        'fixed addresses, and offload moves them in each call: use mode="max-autotune-no-cudagraphs" or no mode)'
    ),
    "faster_cache(timesteps=[-1, 1001])": (
        "faster_cache(timesteps=...) must end at 1000 or below, got: 1001: diffusers would take the attention of the "
        "first step from an empty cache"
    ),
}


@pytest.mark.parametrize("recipe", REFUSED)
def test_combinations_that_cancel_each_other_are_refused(recipe: str) -> None:
    """Before a pipeline is built, with the reason."""
    from pytest_diffopt import parse_recipe  # noqa: PLC0415 - imports torch
    from pytest_diffopt.errors import RecipeError  # noqa: PLC0415 - imported with it

    with pytest.raises(RecipeError) as error:
        parse_recipe(recipe)

    assert REFUSED[recipe] in str(error.value)


def test_a_pipeline_that_opens_no_context_is_refused() -> None:
    """The message names what the pipeline lacks."""
    from pytest_diffopt import parse_recipe  # noqa: PLC0415 - imports torch
    from pytest_diffopt.errors import RecipeError  # noqa: PLC0415 - imported with it
    from tests.unit.tiny_pipelines import tiny_sdxl  # noqa: PLC0415 - imports torch

    with pytest.raises(RecipeError) as error:
        parse_recipe("first_block_cache").apply(tiny_sdxl())

    assert str(error.value) == (
        "first_block_cache needs a pipeline that opens denoiser.cache_context(...) around each call of its denoiser, "
        "and StableDiffusionXLPipeline never does"
    )


def test_sequential_offload_on_the_cpu_is_one_sentence() -> None:
    """Of a plain call, which accelerate's hooks fail; on the simulated GPU it runs."""
    from pytest_diffopt import assert_optimizations_effective, parse_recipe  # noqa: PLC0415 - imports torch
    from pytest_diffopt.errors import RecipeError  # noqa: PLC0415 - imported with it
    from tests.unit.tiny_pipelines import INPUTS, tiny_sdxl  # noqa: PLC0415 - imports torch

    pipeline = tiny_sdxl()
    parse_recipe("sequential_offload").apply(pipeline)
    assert_optimizations_effective(pipeline, **INPUTS)
    with pytest.raises(RecipeError) as error:
        pipeline(**INPUTS)

    assert str(error.value) == (
        "sequential_offload cannot run where the host and the device are both the CPU: accelerate's hooks raise a "
        "TypeError there; call the pipeline on a GPU, or let assert_optimizations_effective, assert_no_syncs or "
        "count_baseline call it on the simulated GPU"
    )


@pytest.mark.parametrize(
    ("recipe", "method"),
    [("group_offload", "enable_group_offload"), ("sequential_offload", "enable_sequential_cpu_offload")],
)
def test_a_chain_cannot_be_offloaded(recipe: str, method: str) -> None:
    """The message names what its class lacks."""
    from pytest_diffopt import parse_recipe  # noqa: PLC0415 - imports torch
    from pytest_diffopt.errors import RecipeError  # noqa: PLC0415 - imported with it
    from pytest_diffopt.pipelines.deepfloyd_if import DEEPFLOYD_IF  # noqa: PLC0415 - imported with it
    from pytest_diffopt.pipelines.loading import build_pipeline  # noqa: PLC0415 - imported with it
    from pytest_diffopt.pipelines.scale import Scale  # noqa: PLC0415 - imported with it

    with pytest.raises(RecipeError) as error:
        parse_recipe(recipe).apply(build_pipeline(DEEPFLOYD_IF, Scale.TINY).pipeline)

    assert str(error.value) == f"{recipe} needs {method}(), and DeepFloydIF has none"
