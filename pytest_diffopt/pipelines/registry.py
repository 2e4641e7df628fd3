"""The pipelines that a marker may name."""

from pytest_diffopt.errors import PipelineError, did_you_mean
from pytest_diffopt.pipelines.family import PipelineFamily
from pytest_diffopt.pipelines.sdxl import SDXL

_FAMILIES: dict[str, PipelineFamily] = {family.name: family for family in (SDXL,)}


def known_pipelines() -> tuple[str, ...]:
    """Return the names of every registered pipeline."""
    return tuple(_FAMILIES)


def find_pipeline(name: str) -> PipelineFamily:
    """Return the family of that name.

    Raises:
        PipelineError: there is none; the nearest known name is suggested.
    """
    if name in _FAMILIES:
        return _FAMILIES[name]
    msg = f"unknown pipeline: {name!r}{did_you_mean(name, _FAMILIES)}; known: {', '.join(_FAMILIES)}"
    raise PipelineError(msg)
