"""The parts of any diffusers pipeline, whoever built it."""

from typing import Any

import torch

from pytest_diffopt.errors import PipelineError

_DENOISERS = ("unet", "transformer")


def modules_of(pipeline: Any) -> dict[str, torch.nn.Module]:
    """Return the pipeline's modules by name; a bare module is its own, only one."""
    if isinstance(pipeline, torch.nn.Module):
        return {type(pipeline).__name__: pipeline}
    components = getattr(pipeline, "components", {})
    return {name: part for name, part in components.items() if isinstance(part, torch.nn.Module)}


def denoiser_name(pipeline: Any) -> str:
    """Return the name of the module that runs in every step.

    Raises:
        PipelineError: the pipeline has neither a UNet nor a transformer.
    """
    names = modules_of(pipeline)
    found = next((name for name in _DENOISERS if name in names), None)
    if found is None:
        msg = f"a pipeline needs a {' or a '.join(_DENOISERS)}, got {type(pipeline).__name__} with: {', '.join(names)}"
        raise PipelineError(msg)
    return found


def spatial_modules(pipeline: Any) -> dict[str, torch.nn.Module]:
    """Return what works on pictures or latents: the denoiser, and the VAE and ControlNet where there are any."""
    modules = modules_of(pipeline)
    names = (denoiser_name(pipeline), "vae", "controlnet")
    return {name: modules[name] for name in names if name in modules}
