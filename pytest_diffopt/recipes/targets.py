"""The modules that the keyword `target` of an optimization names."""

from collections.abc import Sequence
from typing import Any

import torch

from pytest_diffopt.errors import RecipeError, did_you_mean
from pytest_diffopt.pipelines.components import DENOISER, component_names, denoiser_names, modules_of


def target_modules(pipeline: Any, target: Sequence[str], name: str) -> dict[str, torch.nn.Module]:
    """Return the modules that a keyword `target` names.

    Args:
        pipeline: the pipeline that contains the modules.
        target: `denoiser` or names of components.
        name: the optimization, for messages.

    Raises:
        RecipeError: the list is empty, or the pipeline has no such module.
    """
    if not target:
        msg = f"{name}(target=...) must name at least one module, got: []"
        raise RecipeError(msg)
    modules = modules_of(pipeline)
    return {one: modules[one] for part in target for one in _names(pipeline, modules, part, name)}


def _names(pipeline: Any, modules: dict[str, torch.nn.Module], part: str, name: str) -> tuple[str, ...]:
    names = denoiser_names(pipeline) if part == DENOISER else component_names(pipeline, part)
    if not names:
        hint = did_you_mean(part, modules)
        msg = (
            f"{name}(target=...) must name a module of the pipeline, got: {part!r}{hint}; it has: {', '.join(modules)}"
        )
        raise RecipeError(msg)
    return names
