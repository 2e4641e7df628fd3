"""Access to the modules of any diffusers pipeline."""

import inspect
import re
from typing import Any

import torch

from pytest_diffopt.errors import PipelineError

DENOISER = "denoiser"
_DENOISERS = ("unet", "transformer")
# In cascades of a prior and a decoder, and in users' pipelines. A VAE's decoder takes no timestep.
_OTHER_DENOISERS = ("prior", "prior_prior", "decoder", "dit", "denoiser", "model")
_TIMESTEPS = frozenset({"timestep", "timesteps", "timestep_ratio", "t"})


def modules_of(pipeline: Any) -> dict[str, torch.nn.Module]:
    """Return the pipeline's modules by name; for a bare module, the module itself under its class name."""
    if isinstance(pipeline, torch.nn.Module):
        return {type(pipeline).__name__: pipeline}
    components = getattr(pipeline, "components", {})
    return {name: part for name, part in components.items() if isinstance(part, torch.nn.Module)}


def schedulers_of(pipeline: Any) -> dict[str, Any]:
    """Return the pipeline's schedulers by name, each once: the stages of a chain may share one."""
    components = getattr(pipeline, "components", None)
    known = components if isinstance(components, dict) else {}
    found: dict[str, Any] = {}
    for name, part in known.items():
        is_scheduler = callable(getattr(part, "step", None)) and not isinstance(part, torch.nn.Module)
        if is_scheduler and not any(part is other for other in found.values()):
            found[name] = part
    return found


def component_names(pipeline: Any, part: str) -> tuple[str, ...]:
    """Return the names of the modules to which a name refers; empty if the pipeline has no such module.

    A pipeline can have several numbered modules of a kind: a chain of stages has `unet_1`, `unet_2` and `unet_3`, and
    `vae` refers to its `vae_3`. A module's full name refers to that module, except for the first of several denoisers:
    `transformer` refers to `transformer` and `transformer_2`, so that none is forgotten, and `transformer_1` to the
    first alone.

    Args:
        pipeline: the pipeline that contains the modules.
        part: `denoiser`, or a module's name with or without its number.
    """
    modules = modules_of(pipeline)
    if part == DENOISER:
        return tuple(name for name, module in modules.items() if _is_denoiser(name, module))
    if part in modules and part not in _DENOISERS:
        return (part,)
    first = part.removesuffix("_1")
    if first in _DENOISERS and first in modules and part not in modules and first != part:
        return (first,)
    return tuple(name for name in modules if _kind(name) == part)


def denoiser_names(pipeline: Any) -> tuple[str, ...]:
    """Return the names of the denoisers, which run in every step; a chain of stages has one per stage.

    Raises:
        PipelineError: the pipeline has neither a UNet nor a transformer.
    """
    found = component_names(pipeline, DENOISER)
    if not found:
        names = ", ".join(modules_of(pipeline))
        msg = f"a pipeline must have a {' or a '.join(_DENOISERS)}, got {type(pipeline).__name__} with: {names}"
        raise PipelineError(msg)
    return found


def denoisers_of(pipeline: Any) -> dict[str, Any]:
    """Return the denoisers by name.

    Raises:
        PipelineError: the pipeline has neither a UNet nor a transformer.
    """
    modules = modules_of(pipeline)
    return {name: modules[name] for name in denoiser_names(pipeline)}


def spatial_modules(pipeline: Any) -> dict[str, torch.nn.Module]:
    """Return the modules that process images or latents: the denoisers, the VAE and the ControlNet."""
    modules = modules_of(pipeline)
    names = (*denoiser_names(pipeline), *component_names(pipeline, "vae"), *component_names(pipeline, "controlnet"))
    return {name: modules[name] for name in names}


def _is_denoiser(name: str, module: torch.nn.Module) -> bool:
    """Return whether a module runs in every step: by its usual name, or by another one if it takes a timestep."""
    if _kind(name) in _DENOISERS:
        return True
    return _kind(name) in _OTHER_DENOISERS and not _TIMESTEPS.isdisjoint(inspect.signature(module.forward).parameters)


def _kind(name: str) -> str:
    """Return a component's name without its number: `unet` for `unet_2`."""
    return re.sub(r"_\d+$", "", name)
