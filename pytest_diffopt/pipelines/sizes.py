"""The check that a pipeline can draw an image size."""

from collections.abc import Mapping
from typing import Any

from pytest_diffopt.errors import PipelineError
from pytest_diffopt.pipelines.components import component_names, modules_of

_UNET_DIVISOR = 8  # diffusers requires it for every pipeline with a UNet, whatever its VAE


def require_divisible_sizes(pipeline: Any, inputs: Mapping[str, Any]) -> None:
    """Reject a height or width that is not a whole number of latents, or of the transformer's patches of latents.

    Some diffusers pipelines raise an error themselves, some draw another size, and some fail inside the network.

    Args:
        pipeline: any diffusers pipeline; one without a VAE, and any other object, accepts every size.
        inputs: the keywords of a call.

    Raises:
        PipelineError: the size cannot be drawn; the message gives the nearest one that can.
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
                f"(its VAE has {factor} pixels per latent), got: {size}; the nearest is {nearest}"
            )
            raise PipelineError(msg)


def _divisor(pipeline: Any, factor: int) -> int:
    modules = modules_of(pipeline)
    if "transformer" not in modules:
        return max(factor, _UNET_DIVISOR)
    config: Any = getattr(modules["transformer"], "config", None)
    # FLUX packs 2 x 2 latents before its transformer, whose own patch size is then 1.
    packs = hasattr(pipeline, "_pack_latents")
    return factor * (2 if packs else int(getattr(config, "patch_size", None) or 1))
