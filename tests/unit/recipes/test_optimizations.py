"""Each optimization is found where it was applied, and missed where it was asked for and did nothing."""

from typing import Any

import pytest
import torch

from pytest_diffopt.errors import RecipeError
from pytest_diffopt.pipelines.loading import build_pipeline
from pytest_diffopt.pipelines.registry import find_pipeline
from pytest_diffopt.pipelines.scale import Scale
from pytest_diffopt.recipes.grammar import parse_recipe
from pytest_diffopt.recipes.recipe import call_context, recipe_of

RECIPES = [
    "fp32",
    "bf16",
    "fp16",
    "tf32",
    "vanilla_attention",
    "sdpa",
    'sdpa(backend="math")',
    "channels_last",
    "fuse_qkv",
    "bf16 + sdpa + channels_last + fuse_qkv",
]


def tiny_sdxl() -> Any:
    """Build the pipeline anew: a recipe changes it for good."""
    return build_pipeline(find_pipeline("sdxl"), Scale.TINY).pipeline


@pytest.mark.parametrize("text", RECIPES)
def test_what_was_applied_is_found(text: str) -> None:
    """Applied and verified, nothing of it is missing."""
    pipeline = tiny_sdxl()
    recipe = parse_recipe(text)
    recipe.apply(pipeline)

    assert [state.missing for state in recipe.verify(pipeline)] == [()] * len(recipe.optimizations)
    assert recipe_of(pipeline) is recipe


@pytest.mark.parametrize(
    ("asked", "applied", "missing"),
    [
        ("fp32", "bf16", "parameters of unet are bfloat16"),
        ("bf16", "fp32", "parameters of unet are float32"),
        ("fp16", "fp32", "parameters of unet are float32"),
        ("tf32", "fp32", "float32 matmuls run in full precision while the pipeline runs"),
        ("vanilla_attention", "sdpa", "attention layers of unet use AttnProcessor2_0"),
        ("sdpa", "vanilla_attention", "attention layers of unet use AttnProcessor"),
        ('sdpa(backend="math")', "sdpa", "backends allowed: ['flash', 'efficient', 'cudnn', 'math']"),
        ("channels_last", "fp32", "convolution weights of unet are NCHW"),
        ("fuse_qkv", "fp32", "attention layers of unet are not fused"),
        ("compile", "fp32", "unet is not compiled"),
        ("compile(regional=True, target=['denoiser'])", "fp32", "unet is not compiled"),
    ],
)
def test_what_did_nothing_is_missed(asked: str, applied: str, missing: str) -> None:
    """The living pipeline counts, and not what was asked of it."""
    pipeline = tiny_sdxl()
    parse_recipe(applied).apply(pipeline)
    (state,) = parse_recipe(asked).verify(pipeline)

    assert missing in "\n".join(state.missing)


def test_fused_weights_that_no_processor_reads_are_missed() -> None:
    """Fusing makes the weights; only the fused processor uses them."""
    from diffusers.models.attention_processor import AttnProcessor2_0  # noqa: PLC0415 - slow to import

    pipeline = tiny_sdxl()
    recipe = parse_recipe("fuse_qkv").apply(pipeline) and parse_recipe("fuse_qkv")
    pipeline.unet.set_attn_processor(AttnProcessor2_0())
    (state,) = recipe.verify(pipeline)

    assert "attention layers of unet are fused, but AttnProcessor2_0 does not use it" in state.missing[0]


def test_a_call_runs_in_the_recipes_context_and_leaves_torch_as_it_was() -> None:
    """Global state is torch's, so it is changed for the length of a call, and put back also when the call fails."""
    pipeline = tiny_sdxl()
    parse_recipe("fp32 + tf32").apply(pipeline)
    before = torch.get_float32_matmul_precision()
    seen: list[str] = []
    pipeline.check_inputs = lambda *_, **__: seen.append(torch.get_float32_matmul_precision())
    with call_context(pipeline):
        inside = torch.get_float32_matmul_precision()
    with pytest.raises(TypeError, match="unsupported operand"):
        pipeline("a red circle", num_inference_steps="steps")

    assert before == "highest"
    assert inside == "high"
    assert seen == ["high"]
    assert torch.get_float32_matmul_precision() == before


def test_a_recipe_with_a_context_leaves_the_class_name_and_kind() -> None:
    """`isinstance` and `save_pretrained` work as before, and other pipelines of the class are not touched."""
    pipeline, other = tiny_sdxl(), tiny_sdxl()
    kind = type(other)
    parse_recipe("fp32 + tf32").apply(pipeline)

    assert isinstance(pipeline, kind)
    assert type(pipeline).__name__ == kind.__name__
    assert type(other) is kind


def test_a_second_recipe_is_refused() -> None:
    """Which of two recipes a pipeline carries could not be said."""
    pipeline = tiny_sdxl()
    parse_recipe("fp32").apply(pipeline)

    with pytest.raises(
        RecipeError,
        match=r"^a pipeline takes one recipe: this StableDiffusionXLPipeline already carries fp32$",
    ):
        parse_recipe("bf16").apply(pipeline)


def test_something_that_took_no_recipe_has_none() -> None:
    """Also what cannot be weakly referenced may be asked."""
    assert recipe_of(tiny_sdxl()) is None
    assert recipe_of(3) is None
