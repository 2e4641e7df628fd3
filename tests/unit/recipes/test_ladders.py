"""A ladder's levels are recipes as they write themselves, each fits its pipeline, and the article's six are there."""

import warnings
from typing import Any

import pytest

from pytest_diffopt.errors import RecipeError
from pytest_diffopt.pipelines.loading import build_pipeline
from pytest_diffopt.pipelines.registry import find_pipeline
from pytest_diffopt.pipelines.scale import Scale
from pytest_diffopt.recipes.grammar import parse_recipe
from pytest_diffopt.recipes.ladders import _TRAITS, known_ladders, ladder

every_ladder = pytest.mark.parametrize("name", known_ladders())
every_pipeline = pytest.mark.parametrize("pipeline", _TRAITS)


def labels(name: str, pipeline: str) -> list[str]:
    """Name a ladder's levels."""
    return [level.label for level in ladder(name, pipeline)]


def test_the_articles_six_rows() -> None:
    """fp32 without SDPA, bf16, SDPA, compiled, with fused projections, in int8."""
    assert labels("diffusion-fast", "sdxl") == ["fp32", "bf16", "sdpa", "compile", "fuse_qkv", "int8"]


def test_what_does_not_apply_is_left_out() -> None:
    """A transformer of today cannot write attention out; DeepFloyd IF cannot fuse."""
    assert labels("diffusion-fast", "flux") == ["fp32", "sdpa", "compile", "fuse_qkv", "int8"]
    assert labels("diffusion-fast", "deepfloyd-if") == ["fp32", "bf16", "sdpa", "compile", "int8"]


def test_a_published_scheduler_that_waits_is_left() -> None:
    """As the article's repository left Stable Diffusion's PNDM."""
    assert ladder("modern", "sd15")[0].recipe == (
        'scheduler(use="DPMSolverMultistepScheduler") + begin_index + bf16 + sdpa'
    )


def test_on_a_gpu_the_recipes_own_compiler_runs() -> None:
    """Without one Dynamo alone traces, and the recipe says so."""
    assert ladder("diffusion-fast", "sdxl", on_gpu=True)[3].recipe.endswith(
        'compile(mode="max-autotune", fullgraph=True)'
    )
    assert ladder("diffusion-fast", "sdxl")[3].recipe.endswith(
        'compile(mode="max-autotune", fullgraph=True, backend="eager")'
    )


def test_at_full_size_the_articles_width_is_the_articles() -> None:
    """128 channels; the tiny VAE is eight times as narrow."""
    assert "pointwise_linears(channels=16)" in ladder("diffusion-fast", "sdxl")[5].recipe
    assert " + pointwise_linears + " in ladder("diffusion-fast", "sdxl", "full")[5].recipe


@every_ladder
@every_pipeline
def test_every_level_is_written_as_a_recipe_writes_itself(name: str, pipeline: str) -> None:
    """Reports find a level again by its text; a level that makes no sense would be warned of."""
    levels = [level for on_gpu in (True, False) for level in ladder(name, pipeline, on_gpu=on_gpu)]
    recipes = [parse_recipe(level.recipe) for level in levels]

    assert [str(recipe) for recipe in recipes] == [level.recipe for level in levels]
    assert [recipe.advice() for recipe in recipes] == [()] * len(recipes)


@every_ladder
@every_pipeline
def test_the_level_in_int8_fits_its_pipeline(name: str, pipeline: str) -> None:
    """It holds what the other levels hold, and each of it finds something to change."""
    built: Any = build_pipeline(find_pipeline(pipeline), Scale.TINY).pipeline
    (level,) = (one for one in ladder(name, pipeline) if one.label == "int8")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        recipe = parse_recipe(level.recipe)
        recipe.apply(built)
    waiting = [
        one for one in recipe.verify(built) if one.missing and one.name.split("(")[0] not in {"compile", "inductor"}
    ]

    assert waiting == []


def test_an_unknown_ladder_is_reported() -> None:
    """The nearest one is offered."""
    with pytest.raises(RecipeError) as error:
        ladder("modren", "sdxl")

    assert str(error.value) == "unknown ladder: 'modren' (did you mean 'modern'?); known: diffusion-fast, modern"


def test_a_pipeline_without_a_ladder_is_reported() -> None:
    """A user's own pipeline takes recipes."""
    with pytest.raises(RecipeError) as error:
        ladder("modern", "mine")

    assert str(error.value).startswith("no ladder is written for 'mine'; known: sd15, ")
