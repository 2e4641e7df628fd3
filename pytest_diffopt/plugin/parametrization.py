"""Tests parametrized by the pipelines, recipes, ladders and batches of their `diffopt` marker."""

from collections.abc import Iterable, Sequence
from typing import Any

import pytest

from pytest_diffopt.errors import DiffoptError, MarkerError, did_you_mean
from pytest_diffopt.pipelines.registry import find_pipeline
from pytest_diffopt.pipelines.scale import Scale
from pytest_diffopt.plugin.fixtures import PLAIN_RECIPE
from pytest_diffopt.plugin.markers import NamedPipeline, diffopt_arguments
from pytest_diffopt.recipes.grammar import parse_recipe
from pytest_diffopt.recipes.ladders import ladder
from pytest_diffopt.recipes.recipe import Recipe
from pytest_diffopt.session.settings import Settings


def parametrize(metafunc: pytest.Metafunc, settings: Settings) -> None:
    """Parametrize a test by the pipelines and recipes of its marker.

    Raises:
        pytest.Collector.CollectError: the marker cannot be read, or names something unknown.
    """
    node = metafunc.definition
    try:
        arguments = diffopt_arguments(node)
        if "ladder" in arguments or "level" in arguments:
            _parametrize_by_levels(metafunc, arguments, settings)
        elif "pipeline" in arguments and "diffopt_pipeline" in metafunc.fixturenames:
            pipelines = _named_pipelines(arguments, settings)
            ids = [_pipeline_id(named, settings) for named in pipelines]
            metafunc.parametrize("diffopt_pipeline", pipelines, indirect=True, ids=ids, scope="session")
        if "recipe" in arguments:
            recipes = _recipes(arguments)
            if "diffopt_recipe" in metafunc.fixturenames:
                _parametrize_by_recipes(metafunc, [((), recipe, recipe.test_id) for recipe in recipes])
            elif "diffopt_reference_recipe" in metafunc.fixturenames:
                _parametrize_by_reference(metafunc, recipes)
        if "batch" in arguments and "diffopt_batch" in metafunc.fixturenames:
            batches = _batches(arguments, settings)
            ids = [f"batch{batch}" for batch in batches]
            metafunc.parametrize("diffopt_batch", batches, indirect=True, ids=ids, scope="function")
    except DiffoptError as error:
        msg = f"diffopt: {node.nodeid}: {error}"
        raise pytest.Collector.CollectError(msg) from error


def _parametrize_by_levels(metafunc: pytest.Metafunc, arguments: dict[str, Any], settings: Settings) -> None:
    """Parametrize a test by each pipeline and each level of its ladders."""
    if "ladder" not in arguments:
        msg = f"@pytest.mark.diffopt(level=...) names a level of a ladder: give it ladder=..., got: {arguments}"
        raise MarkerError(msg)
    if "recipe" in arguments or "pipeline" not in arguments:
        msg = "@pytest.mark.diffopt(ladder=...) takes its recipes from the ladder: give it pipeline=... and no recipe"
        raise MarkerError(msg)
    missing = [name for name in ("diffopt_pipeline", "diffopt_recipe") if name not in metafunc.fixturenames]
    if missing:
        msg = f"@pytest.mark.diffopt(ladder=...) needs a test that uses optimized_pipeline, or {' and '.join(missing)}"
        raise MarkerError(msg)
    cases = [
        ((named,), parse_recipe(level.recipe), f"{_pipeline_id(named, settings)}-{level.test_id}")
        for named, level in _levels(arguments, settings)
    ]
    _parametrize_by_recipes(metafunc, cases)


def _parametrize_by_recipes(metafunc: pytest.Metafunc, cases: Sequence[tuple[tuple[Any, ...], Any, str]]) -> None:
    """Parametrize a test by recipes, each with its id and optionally its pipeline, and by their reference recipes."""
    has_reference = "diffopt_reference_recipe" in metafunc.fixturenames
    names = ["diffopt_pipeline"] * len(cases[0][0]) + ["diffopt_recipe"]
    metafunc.parametrize(
        [*names, "diffopt_reference_recipe"] if has_reference else names,
        # the reference recipe as a string: recipes with equal references share one pipeline
        [
            (*named, recipe, str(recipe.reference())) if has_reference else (*named, recipe)
            for named, recipe, _ in cases
        ],
        indirect=True,
        ids=[case_id for *_, case_id in cases],
        scope="session",
    )


def _parametrize_by_reference(metafunc: pytest.Metafunc, recipes: Sequence[Recipe]) -> None:
    """Give a test that builds no optimized pipeline the reference of its recipe; a plain one needs no parameter."""
    references = {str(recipe.reference()): recipe.test_id for recipe in recipes}
    if len(references) == 1 and PLAIN_RECIPE not in references:
        metafunc.parametrize(
            "diffopt_reference_recipe", [*references], indirect=True, ids=[*references.values()], scope="session"
        )


def _levels(arguments: dict[str, Any], settings: Settings) -> list[tuple[NamedPipeline, Any]]:
    """Return each pipeline with each level that its ladders have and the marker names."""
    levels = [
        (named, level)
        for named in _named_pipelines(arguments, settings)
        for name in _texts(arguments, "ladder")
        for level in ladder(name, named.family.name, named.scale, on_gpu=settings.use_gpu)
    ]
    if "level" not in arguments:
        return levels
    expected, known = _texts(arguments, "level"), dict.fromkeys(level.label for _, level in levels)
    for label in expected:
        if label not in known:
            msg = f"these ladders have no level {label!r}{did_you_mean(label, known)}; known: {', '.join(known)}"
            raise MarkerError(msg)
    return [(named, level) for named, level in levels if level.label in expected]


def _texts(arguments: dict[str, Any], keyword: str) -> list[str]:
    given = arguments[keyword]
    texts = [given] if isinstance(given, str) else list(given) if isinstance(given, Iterable) else [given]
    if not texts or not all(isinstance(text, str) for text in texts):
        msg = f"@pytest.mark.diffopt({keyword}=...) takes a text or a list of texts, got: {given!r}"
        raise MarkerError(msg)
    return texts


def _named_pipelines(arguments: dict[str, Any], settings: Settings) -> list[NamedPipeline]:
    scales = [_scale(text) for text in _texts(arguments, "scale")] if "scale" in arguments else [settings.scale]
    names = _texts(arguments, "pipeline")
    return [NamedPipeline(family=find_pipeline(name), scale=scale) for name in names for scale in scales]


def _batches(arguments: dict[str, Any], settings: Settings) -> list[int]:
    given = arguments["batch"]
    batches = list(given) if isinstance(given, Iterable) and not isinstance(given, str) else [given]
    if not batches or not all(type(batch) is int and batch > 0 for batch in batches):
        msg = f"@pytest.mark.diffopt(batch=...) takes a number of images or a list of them, got: {given!r}"
        raise MarkerError(msg)
    families = [named.family for named in _named_pipelines(arguments, settings)] if "pipeline" in arguments else []
    for family in families:
        if family.largest_batch is not None and max(batches) > family.largest_batch:
            limit = f"generates at most {family.largest_batch} images per call"
            msg = f"pipeline {family.name!r} {limit}, got: batch={given!r}"
            raise MarkerError(msg)
    return batches


def _scale(text: str) -> Scale:
    if text not in list(Scale):
        msg = f"@pytest.mark.diffopt(scale=...) must be one of {', '.join(Scale)}, got: {text!r}"
        raise MarkerError(msg)
    return Scale(text)


def _pipeline_id(named: NamedPipeline, settings: Settings) -> str:
    return named.family.name if named.scale is settings.scale else f"{named.family.name}@{named.scale}"


def _recipes(arguments: dict[str, Any]) -> list[Recipe]:
    return [parse_recipe(text) for text in _texts(arguments, "recipe")]
