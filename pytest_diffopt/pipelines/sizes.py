"""Sizes that a pipeline can draw."""

from collections.abc import Mapping
from typing import Any

from pytest_diffopt.errors import PipelineError
from pytest_diffopt.pipelines.components import component_names, modules_of

_UNET_ASKS = 8  # diffusers asks that of every pipeline with a UNet, whatever its VAE


def require_divisible_sizes(pipeline: Any, inputs: Mapping[str, Any]) -> None:
    """Refuse a height or width that does not come out even in latents, or in the transformer's patches of them.

    Some of diffusers' pipelines say so themselves, some draw another size, and some fail deep inside the network.

    Args:
        pipeline: any diffusers pipeline; one without a VAE, and anything else, takes every size.
        inputs: the keywords of a call.

    Raises:
        PipelineError: the size cannot be drawn; the nearest that can is named.
    """
    factor = getattr(pipeline, "vae_scale_factor", None)
    if not isinstance(factor, int) or not component_names(pipeline, "vae"):
        return
    divisor = _divisor(pipeline, factor)
    for keyword in ("height", "width"):
        size = inputs.get(keyword)
        if isinstance(size, int) and (size <= 0 or size % divisor):
            nearest = max(divisor, round(size / divisor) * divisor)
            msg = (
                f"{keyword} must be a multiple of {divisor} pixels for {type(pipeline).__name__} "
                f"(its VAE makes one latent of {factor}), got: {size}; the nearest is {nearest}"
            )
            raise PipelineError(msg)


def _divisor(pipeline: Any, factor: int) -> int:
    modules = modules_of(pipeline)
    if "transformer" not in modules:
        return max(factor, _UNET_ASKS)
    config: Any = getattr(modules["transformer"], "config", None)
    # FLUX packs two by two latents before its transformer, whose own patches are then single.
    packs = hasattr(pipeline, "_pack_latents")
    return factor * (2 if packs else int(getattr(config, "patch_size", None) or 1))
