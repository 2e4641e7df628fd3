"""The markers: `diffopt` names pipelines and recipes, `gpu` names what a test needs of the GPU.

A project that registers a marker of such a name has its own. Of its marks, only those that have the keywords of the
plugin's marker are read.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import pytest

from pytest_diffopt.errors import MarkerError, did_you_mean
from pytest_diffopt.session.our_fixtures import our_fixtures, overrides_ours

if TYPE_CHECKING:
    from pytest_diffopt.pipelines.family import PipelineFamily
    from pytest_diffopt.pipelines.scale import Scale

DIFFOPT_HELP = (
    "diffopt(pipeline, recipe, scale, batch): what this test runs with, each one or a list; "
    "diffopt(pipeline, ladder, level): every level of a ladder, or only the named ones"
)
GPU_HELP = "gpu(memory_gib, capability, count): this diffopt test needs --diffopt-gpu and a GPU that has at least this"
MARKER_LINES = (DIFFOPT_HELP, GPU_HELP)
_DIFFOPT_KEYWORDS = ("pipeline", "recipe", "ladder", "level", "scale", "batch")


@dataclass(frozen=True, kw_only=True, slots=True)
class NamedPipeline:
    """A pipeline that a marker names, at one scale."""

    family: "PipelineFamily"
    scale: "Scale"


@dataclass(frozen=True, kw_only=True, slots=True)
class GpuNeeds:
    """What a test needs of the GPU.

    Attributes:
        memory_gib: memory of the GPU, in GiB.
        capability: CUDA compute capability, (major, minor).
        count: the number of GPUs.
    """

    memory_gib: float = 0.0
    capability: tuple[int, int] = (0, 0)
    count: int = 1


_GPU_KEYWORDS = tuple(field.name for field in fields(GpuNeeds))


def belongs_to_diffopt(item: pytest.Item) -> bool:
    """Return whether a test is a diffopt test: it has the plugin's marker, or uses or overrides one of its fixtures."""
    return has_diffopt_marker(item) or bool(our_fixtures(item)) or overrides_ours(item)


def gpu_needs(item: pytest.Item) -> GpuNeeds | None:
    """Return what the `gpu` marker of a test asks for; None without the marker.

    Raises:
        MarkerError: the marker has an unknown keyword or a value of the wrong kind.
    """
    marker = next(_our_marks(item, "gpu", _GPU_KEYWORDS), None)
    if marker is None:
        return None
    _refuse_unknown("gpu", marker, _GPU_KEYWORDS)
    needs = GpuNeeds(**marker.kwargs)
    capability = needs.capability
    is_version = isinstance(capability, tuple) and [type(part) for part in capability] == [int, int]
    if not (isinstance(needs.memory_gib, (int, float)) and isinstance(needs.count, int) and is_version):
        msg = f"@pytest.mark.gpu takes memory_gib=24, capability=(8, 0), count=1, got: {marker.kwargs}"
        raise MarkerError(msg)
    return needs


def recipe_text(item: pytest.Item) -> str:
    """Return the recipe of a test as its marker or parameter writes it; empty without one."""
    callspec = getattr(item, "callspec", None)
    if callspec is not None and "diffopt_recipe" in callspec.params:
        return str(callspec.params["diffopt_recipe"])
    named = diffopt_arguments(item).get("recipe", "")
    return named if isinstance(named, str) else ""


def has_diffopt_marker(node: Any) -> bool:
    """Return whether a test or function has the plugin's `diffopt` marker."""
    return any(_our_marks(node, "diffopt", _DIFFOPT_KEYWORDS))


def diffopt_arguments(node: pytest.Item) -> dict[str, Any]:
    """Return the keywords of all `diffopt` markers; the marker nearest to the function wins.

    Raises:
        MarkerError: a keyword is unknown, or an argument is positional.
    """
    arguments: dict[str, Any] = {}
    for marker in _our_marks(node, "diffopt", _DIFFOPT_KEYWORDS):
        _refuse_unknown("diffopt", marker, _DIFFOPT_KEYWORDS)
        arguments = dict(marker.kwargs) | arguments
    return arguments


def _our_marks(node: Any, name: str, keywords: Sequence[str]) -> Iterator[pytest.Mark]:
    """Yield the marks of a name, the nearest first, without those of the project's own marker of that name."""
    marks = list(node.iter_markers(name))
    is_shared = bool(marks) and _is_registered_by_project(node.config, name)
    # every test that needs a GPU may have a bare `gpu`; a bare `diffopt` names nothing that this plugin could run with
    yield from (
        mark
        for mark in marks
        if not is_shared
        or (not mark.args and mark.kwargs.keys() <= set(keywords) and (mark.kwargs or keywords is _GPU_KEYWORDS))
    )


def _is_registered_by_project(config: pytest.Config, name: str) -> bool:
    others = [line for line in config.getini("markers") if line not in MARKER_LINES]
    return name in {line.partition(":")[0].partition("(")[0].strip() for line in others}


def _refuse_unknown(name: str, marker: pytest.Mark, known: Sequence[str]) -> None:
    takes = f"it takes the keywords {', '.join(known)}"
    if marker.args:
        msg = f"@pytest.mark.{name} takes no positional arguments, got: {marker.args!r}; {takes}"
        raise MarkerError(msg)
    for keyword in marker.kwargs:
        if keyword not in known:
            msg = f"unknown keyword of @pytest.mark.{name}: {keyword!r}{did_you_mean(keyword, known)}; {takes}"
            raise MarkerError(msg)
