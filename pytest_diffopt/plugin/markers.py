"""The markers: `diffopt` names pipelines and recipes and parametrizes a test by them, `gpu` asks for a GPU."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from typing import Any

import pytest

from pytest_diffopt.errors import DiffoptError, MarkerError, did_you_mean
from pytest_diffopt.pipelines.family import PipelineFamily
from pytest_diffopt.pipelines.scale import Scale
from pytest_diffopt.session.settings import Settings

#: Fixtures of this plugin; a test that uses one belongs to it.
OUR_FIXTURES = frozenset(
    {
        "compile_baseline",
        "count_baseline",
        "diffopt_batch",
        "diffopt_device",
        "diffopt_pipeline",
        "diffopt_recipe",
        "diffopt_reference_recipe",
        "image_baseline",
        "latency_baseline",
        "memory_baseline",
        "optimized_pipeline",
        "pipeline_inputs",
        "pipeline_shape_variations",
        "pipeline_variations",
        "reference_pipeline",
        "simulated_pipeline",
    }
)
DIFFOPT_HELP = (
    "diffopt(pipeline, recipe, scale, batch): what this test runs with, each one or a list; "
    "diffopt(pipeline, ladder, level): every level of a ladder, or only those that are called so"
)
GPU_HELP = "gpu(memory_gib, capability, count): this diffopt test needs --gpu, and a GPU with at least that"
_DIFFOPT_KEYWORDS = ("pipeline", "recipe", "ladder", "level", "scale", "batch")


@dataclass(frozen=True, kw_only=True, slots=True)
class NamedPipeline:
    """A pipeline that a marker names, at one scale."""

    family: PipelineFamily
    scale: Scale


@dataclass(frozen=True, kw_only=True, slots=True)
class GpuNeeds:
    """What a test asks of the GPU.

    Attributes:
        memory_gib: memory of the GPU, in GiB.
        capability: CUDA compute capability, (major, minor).
        count: how many GPUs.
    """

    memory_gib: float = 0.0
    capability: tuple[int, int] = (0, 0)
    count: int = 1


def belongs_to_diffopt(item: pytest.Item) -> bool:
    """Tell whether a test is this plugin's business: it has the marker or uses one of the fixtures."""
    names = getattr(item, "fixturenames", ())
    return item.get_closest_marker("diffopt") is not None or not OUR_FIXTURES.isdisjoint(names)


def parametrize(metafunc: pytest.Metafunc, settings: Settings) -> None:
    """Parametrize a test by the pipelines and recipes of its marker.

    Raises:
        pytest.Collector.CollectError: the marker cannot be read, or names something unknown.
    """
    node = metafunc.definition
    try:
        arguments = _diffopt_arguments(node)
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
        if "batch" in arguments and "diffopt_batch" in metafunc.fixturenames:
            batches = _batches(arguments, settings)
            ids = [f"batch{batch}" for batch in batches]
            metafunc.parametrize("diffopt_batch", batches, indirect=True, ids=ids, scope="function")
    except DiffoptError as error:
        msg = f"diffopt: {node.nodeid}: {error}"
        raise pytest.Collector.CollectError(msg) from error


def _parametrize_by_levels(metafunc: pytest.Metafunc, arguments: dict[str, Any], settings: Settings) -> None:
    """Parametrize a test by each pipeline and each level that its ladders have for it."""
    from pytest_diffopt.recipes.grammar import parse_recipe  # noqa: PLC0415 - imports torch

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
    """Parametrize a test by recipes, each with its id and perhaps its pipeline, and by what their references carry."""
    has_reference = "diffopt_reference_recipe" in metafunc.fixturenames
    names = ["diffopt_pipeline"] * len(cases[0][0]) + ["diffopt_recipe"]
    metafunc.parametrize(
        [*names, "diffopt_reference_recipe"] if has_reference else names,
        # the reference's as a text: recipes whose references are the same share one pipeline
        [
            (*named, recipe, str(recipe.reference())) if has_reference else (*named, recipe)
            for named, recipe, _ in cases
        ],
        indirect=True,
        ids=[case_id for *_, case_id in cases],
        scope="session",
    )


def _levels(arguments: dict[str, Any], settings: Settings) -> list[tuple[NamedPipeline, Any]]:
    """Return each pipeline with each level that its ladders have for it and the marker wants."""
    from pytest_diffopt.recipes.ladders import ladder  # noqa: PLC0415 - only diffopt's tests pay for it

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
            msg = f"these ladders have no level called {label!r}{did_you_mean(label, known)}; known: {', '.join(known)}"
            raise MarkerError(msg)
    return [(named, level) for named, level in levels if level.label in expected]


def gpu_needs(item: pytest.Item) -> GpuNeeds | None:
    """Return what the test's `gpu` marker asks for; None without one.

    Raises:
        MarkerError: the marker has an unknown keyword or a value of the wrong kind.
    """
    marker = item.get_closest_marker("gpu")
    if marker is None:
        return None
    _refuse_unknown("gpu", marker, [field.name for field in fields(GpuNeeds)])
    needs = GpuNeeds(**marker.kwargs)
    capability = needs.capability
    is_version = isinstance(capability, tuple) and [type(part) for part in capability] == [int, int]
    if not (isinstance(needs.memory_gib, (int, float)) and isinstance(needs.count, int) and is_version):
        msg = f"@pytest.mark.gpu takes memory_gib=24, capability=(8, 0), count=1, got: {marker.kwargs}"
        raise MarkerError(msg)
    return needs


def recipe_text(item: pytest.Item) -> str:
    """Return the recipe that a test runs with, as its marker or parameter writes it; empty without one."""
    callspec = getattr(item, "callspec", None)
    if callspec is not None and "diffopt_recipe" in callspec.params:
        return str(callspec.params["diffopt_recipe"])
    named = _diffopt_arguments(item).get("recipe", "")
    return named if isinstance(named, str) else ""


def _diffopt_arguments(node: pytest.Item) -> dict[str, Any]:
    """Join the keywords of every `diffopt` marker; the one nearest to the function wins."""
    arguments: dict[str, Any] = {}
    for marker in node.iter_markers("diffopt"):
        _refuse_unknown("diffopt", marker, _DIFFOPT_KEYWORDS)
        arguments = dict(marker.kwargs) | arguments
    return arguments


def _refuse_unknown(name: str, marker: pytest.Mark, known: Sequence[str]) -> None:
    takes = f"it takes the keywords {', '.join(known)}"
    if marker.args:
        msg = f"@pytest.mark.{name} takes no positional arguments, got: {marker.args!r}; {takes}"
        raise MarkerError(msg)
    for keyword in marker.kwargs:
        if keyword not in known:
            msg = f"unknown keyword of @pytest.mark.{name}: {keyword!r}{did_you_mean(keyword, known)}; {takes}"
            raise MarkerError(msg)


def _texts(arguments: dict[str, Any], keyword: str) -> list[str]:
    given = arguments[keyword]
    texts = [given] if isinstance(given, str) else list(given) if isinstance(given, Iterable) else [given]
    if not texts or not all(isinstance(text, str) for text in texts):
        msg = f"@pytest.mark.diffopt({keyword}=...) takes a text or a list of texts, got: {given!r}"
        raise MarkerError(msg)
    return texts


def _named_pipelines(arguments: dict[str, Any], settings: Settings) -> list[NamedPipeline]:
    from pytest_diffopt.pipelines.registry import find_pipeline  # noqa: PLC0415 - only diffopt's tests pay for it

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
            most = f"at most {family.largest_batch} images per call"
            msg = f"pipeline {family.name!r} generates {most}, got: batch={given!r}"
            raise MarkerError(msg)
    return batches


def _scale(text: str) -> Scale:
    if text not in list(Scale):
        msg = f"@pytest.mark.diffopt(scale=...) must be one of {', '.join(Scale)}, got: {text!r}"
        raise MarkerError(msg)
    return Scale(text)


def _pipeline_id(named: NamedPipeline, settings: Settings) -> str:
    return named.family.name if named.scale is settings.scale else f"{named.family.name}@{named.scale}"


def _recipes(arguments: dict[str, Any]) -> list[Any]:
    from pytest_diffopt.recipes.grammar import parse_recipe  # noqa: PLC0415 - imports torch

    return [parse_recipe(text) for text in _texts(arguments, "recipe")]
