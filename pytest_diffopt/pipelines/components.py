"""The parts of any diffusers pipeline, whoever built it."""

import re
from typing import Any

import torch

from pytest_diffopt.errors import PipelineError

DENOISER = "denoiser"
_DENOISERS = ("unet", "transformer")


def modules_of(pipeline: Any) -> dict[str, torch.nn.Module]:
    """Return the pipeline's modules by name; a bare module is its own, only one."""
    if isinstance(pipeline, torch.nn.Module):
        return {type(pipeline).__name__: pipeline}
    components = getattr(pipeline, "components", {})
    return {name: part for name, part in components.items() if isinstance(part, torch.nn.Module)}


def component_names(pipeline: Any, part: str) -> tuple[str, ...]:
    """Return the names of the modules that a word means; none where the pipeline has no such module.

    Some pipelines have several of a kind and number them: a chain of stages has `unet_1`, `unet_2` and `unet_3`, and
    `vae` means its `vae_3`. A name that is there in full is always itself.

    Args:
        pipeline: whose modules.
        part: `denoiser`, or a module's name with or without its number.
    """
    names = modules_of(pipeline)
    if part in names:
        return (part,)
    kinds = _DENOISERS if part == DENOISER else (part,)
    return tuple(name for name in names if _kind(name) in kinds)


def denoiser_names(pipeline: Any) -> tuple[str, ...]:
    """Return the names of the modules that run in every step; a chain of stages has one in each.

    Raises:
        PipelineError: the pipeline has neither a UNet nor a transformer.
    """
    found = component_names(pipeline, DENOISER)
    if not found:
        names = ", ".join(modules_of(pipeline))
        msg = f"a pipeline needs a {' or a '.join(_DENOISERS)}, got {type(pipeline).__name__} with: {names}"
        raise PipelineError(msg)
    return found


def spatial_modules(pipeline: Any) -> dict[str, torch.nn.Module]:
    """Return what works on images or latents: the denoisers, and the VAE and ControlNet where there are any."""
    modules = modules_of(pipeline)
    names = (*denoiser_names(pipeline), *component_names(pipeline, "vae"), *component_names(pipeline, "controlnet"))
    return {name: modules[name] for name in names}


def _kind(name: str) -> str:
    """Cut the number off a component's name: `unet_2` is a `unet`."""
    return re.sub(r"_\d+$", "", name)
