"""Latents of the training images, encoded once and cached."""

from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from tqdm import trange

from pytest_diffopt.pipelines.tiny import provenance
from tools.tiny_training.scenes import Scenes

_IMAGES_AT_ONCE = 64


def latents_of(name: str, vae: Any, scenes: Scenes, cache: Path, *, kind: str = "scenes") -> torch.Tensor:
    """Return the scaled latents of every image, (number, channels, height, width), the input of the denoisers.

    Args:
        name: the autoencoder's name.
        vae: the autoencoder.
        scenes: the images.
        cache: the folder of the cache.
        kind: distinguishes sets of images in the cache.
    """
    path = cache / f"latents-{name}-{provenance()[name]['sha256'][:12]}-{kind}-{len(scenes.scenes)}.safetensors"
    if not path.exists():
        save_file({"latents": _encode(name, vae, scenes)}, path)
    return load_file(path)["latents"]


def scaled(vae: Any, latents: torch.Tensor) -> torch.Tensor:
    """Return latents with a standard deviation of about one, scaled as in the pipelines."""
    if vae.config.get("latents_mean"):
        means, deviations = (
            torch.tensor(values)[:, None, None, None] for values in (vae.config.latents_mean, vae.config.latents_std)
        )
        return (latents - means) / deviations
    factor: float = vae.config.scaling_factor
    return (latents - (vae.config.shift_factor or 0.0)) * factor


@torch.no_grad()
def _encode(name: str, vae: Any, scenes: Scenes) -> torch.Tensor:
    numbers = trange(0, len(scenes.scenes), _IMAGES_AT_ONCE, desc=f"{name}: encode the images", leave=False)
    chosen = (torch.arange(first, min(first + _IMAGES_AT_ONCE, len(scenes.scenes))) for first in numbers)
    return torch.cat([scaled(vae, vae.encode(scenes.image(some)).latent_dist.mean) for some in chosen]).contiguous()
