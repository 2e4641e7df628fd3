"""The pipelines that a marker may name."""

import difflib

from pytest_diffopt.errors import PipelineError
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
    nearest = difflib.get_close_matches(name, _FAMILIES, n=1)
    hint = f" (did you mean {nearest[0]!r}?)" if nearest else ""
    msg = f"unknown pipeline: {name!r}{hint}; known: {', '.join(_FAMILIES)}"
    raise PipelineError(msg)
