"""A ladder's levels are recipes in canonical form that fit their pipeline."""

import warnings
from typing import Any

import pytest

from pytest_diffopt.errors import RecipeError
from pytest_diffopt.pipelines.loading import build_pipeline
from pytest_diffopt.pipelines.registry import find_pipeline
from pytest_diffopt.pipelines.scale import Scale
from pytest_diffopt.recipes.grammar import parse_recipe
from pytest_diffopt.recipes.ladders import _TRAITS, known_ladders, ladder, pipelines_with

every_ladder = pytest.mark.parametrize(
    ("name", "pipeline"), [(name, pipeline) for name in known_ladders() for pipeline in pipelines_with(name)]
)


def labels(name: str, pipeline: str) -> list[str]:
    """Return the labels of a ladder's levels."""
    return [level.label for level in ladder(name, pipeline)]


def test_diffusion_fast_has_the_articles_six_levels() -> None:
    """fp32 without SDPA, bf16, SDPA, compilation, fused projections, int8."""
    assert labels("diffusion-fast", "sdxl") == ["fp32", "bf16", "sdpa", "compile", "fuse_qkv", "int8"]


def test_levels_that_do_not_apply_are_left_out() -> None:
    """FLUX's transformer has no vanilla attention; DeepFloyd IF cannot fuse its projections."""
    assert labels("diffusion-fast", "flux") == ["fp32", "sdpa", "compile", "fuse_qkv", "int8"]
    assert labels("diffusion-fast", "deepfloyd-if") == ["fp32", "bf16", "sdpa", "compile", "int8"]


def test_modern_replaces_a_scheduler_that_synchronizes() -> None:
    """Stable Diffusion's PNDM is replaced, as in the article's repository."""
    assert ladder("modern", "sd15")[0].recipe == (
        'scheduler(use="DPMSolverMultistepScheduler") + begin_index + bf16 + sdpa'
    )


def test_the_recipe_names_the_backend_eager_without_a_gpu() -> None:
    """On a GPU the recipe names no backend."""
    assert ladder("diffusion-fast", "sdxl", on_gpu=True)[3].recipe.endswith(
        'compile(mode="max-autotune", fullgraph=True)'
    )
    assert ladder("diffusion-fast", "sdxl")[3].recipe.endswith(
        'compile(mode="max-autotune", fullgraph=True, backend="eager")'
    )


def test_the_width_of_pointwise_linears_follows_the_scale() -> None:
    """At full scale 128 channels as in the article; the tiny VAE has an eighth of them."""
    assert "pointwise_linears(channels=16)" in ladder("diffusion-fast", "sdxl")[5].recipe
    assert " + pointwise_linears + " in ladder("diffusion-fast", "sdxl", "full")[5].recipe


def test_memory_casts_before_it_offloads() -> None:
    """Each level adds one optimization; the recipe has them in the order of their application."""
    assert [level.recipe for level in ladder("memory", "sdxl", "full")] == [
        "fp16",
        "fp16 + vae_tiling(pixels=512)",
        "fp16 + vae_tiling(pixels=512) + group_offload",
        "fp16 + vae_tiling(pixels=512) + layerwise_casting + group_offload",
    ]


def test_tiles_are_half_of_the_published_image() -> None:
    """SD 1.5 draws 512 pixels, SD 3 is published in bfloat16, and tiny images have 64 pixels."""
    assert ladder("memory", "sd15", "full")[1].recipe == "fp16 + vae_tiling(pixels=256)"
    assert ladder("memory", "sd3")[1].recipe == "bf16 + vae_tiling(pixels=32)"


def test_cached_ends_with_a_step_cache() -> None:
    """The tiny FLUX needs a larger threshold; no level asks for one graph, which the cache's decision breaks."""
    assert [level.recipe for level in ladder("cached", "flux", "full", on_gpu=True)] == [
        "bf16",
        'bf16 + compile(target=["denoiser"], regional=True)',
        'bf16 + first_block_cache(threshold=0.12) + compile(target=["denoiser"], regional=True)',
    ]
    assert "first_block_cache(threshold=0.5)" in ladder("cached", "flux")[2].recipe


@every_ladder
def test_every_level_is_in_canonical_form(name: str, pipeline: str) -> None:
    """Reports find a level by its text. No level has a warning about missing partners."""
    levels = [level for on_gpu in (True, False) for level in ladder(name, pipeline, on_gpu=on_gpu)]
    recipes = [parse_recipe(level.recipe) for level in levels]

    assert [str(recipe) for recipe in recipes] == [level.recipe for level in levels]
    assert [recipe.advice() for recipe in recipes] == [()] * len(recipes)


@pytest.mark.parametrize("name", ["diffusion-fast", "modern"])
@pytest.mark.parametrize("pipeline", _TRAITS)
def test_the_int8_level_fits_its_pipeline(name: str, pipeline: str) -> None:
    """It includes the optimizations of the other levels, and each has an effect."""
    built: Any = build_pipeline(find_pipeline(pipeline), Scale.TINY).pipeline
    (level,) = (one for one in ladder(name, pipeline) if one.label == "int8")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        recipe = parse_recipe(level.recipe)
        recipe.apply(built)
    missing = [
        one for one in recipe.verify(built) if one.missing and one.name.split("(")[0] not in {"compile", "inductor"}
    ]

    assert missing == []


def test_an_unknown_ladder_is_reported() -> None:
    """The message suggests the closest name."""
    with pytest.raises(RecipeError) as error:
        ladder("modren", "sdxl")

    known = "diffusion-fast, modern, memory, cached"
    assert str(error.value) == f"unknown ladder: 'modren' (did you mean 'modern'?); known: {known}"


def test_a_pipeline_without_a_ladder_is_reported() -> None:
    """Ladders exist only for this package's pipelines."""
    with pytest.raises(RecipeError) as error:
        ladder("modern", "mine")

    assert str(error.value).startswith("no ladder is defined for 'mine'; known: sd15, ")


def test_a_ladder_that_its_pipeline_lacks_is_reported() -> None:
    """A UNet has no step cache in diffusers, and a chain of pipelines has no groups to offload."""
    with pytest.raises(RecipeError) as error:
        ladder("cached", "sdxl")
    assert str(error.value) == "no ladder 'cached' is defined for 'sdxl'; known: flux"

    assert "deepfloyd-if" not in pipelines_with("memory")
