"""Access to the modules of any diffusers pipeline."""

import re
from typing import Any

import torch

from pytest_diffopt.errors import PipelineError

DENOISER = "denoiser"
_DENOISERS = ("unet", "transformer")


def modules_of(pipeline: Any) -> dict[str, torch.nn.Module]:
    """Return the pipeline's modules by name; for a bare module, the module itself under its class name."""
    if isinstance(pipeline, torch.nn.Module):
        return {type(pipeline).__name__: pipeline}
    components = getattr(pipeline, "components", {})
    return {name: part for name, part in components.items() if isinstance(part, torch.nn.Module)}


def component_names(pipeline: Any, part: str) -> tuple[str, ...]:
    """Return the names of the modules to which a name refers; empty if the pipeline has no such module.

    A pipeline can have several numbered modules of a kind: a chain of stages has `unet_1`, `unet_2` and `unet_3`, and
    `vae` refers to its `vae_3`. A module's full name always refers to that module.

    Args:
        pipeline: the pipeline that contains the modules.
        part: `denoiser`, or a module's name with or without its number.
    """
    names = modules_of(pipeline)
    if part in names:
        return (part,)
    kinds = _DENOISERS if part == DENOISER else (part,)
    return tuple(name for name in names if _kind(name) in kinds)


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


def spatial_modules(pipeline: Any) -> dict[str, torch.nn.Module]:
    """Return the modules that process images or latents: the denoisers, the VAE and the ControlNet."""
    modules = modules_of(pipeline)
    names = (*denoiser_names(pipeline), *component_names(pipeline, "vae"), *component_names(pipeline, "controlnet"))
    return {name: modules[name] for name in names}


def _kind(name: str) -> str:
    """Return a component's name without its number: `unet` for `unet_2`."""
    return re.sub(r"_\d+$", "", name)
