"""Noise and losses for training: discrete diffusion as in DDPM, and flow matching."""

from functools import cache
from typing import Any

import diffusers
import torch
from torch.nn import functional

from pytest_diffopt.pipelines.published import published_config

_SNR_CEILING = 5.0
_SHIFT = 3.0  # the shift of the published flow-matching schedulers
_NEARLY_NOISE = 0.85  # from this fraction of the timesteps on, noise hides the colors: only the prompt defines them
_NEARLY_NOISE_PART = 0.2  # of the training images
_COARSE_WEIGHT = 0.1  # a larger weight delays the outlines; without it, colors do not follow the prompt


@cache
def noise_schedule(repository: str, component: str = "scheduler") -> Any:
    """Return a DDPM scheduler with the betas and the prediction type of a published scheduler."""
    return diffusers.DDPMScheduler.from_config(published_config(repository, component))


def random_timesteps(number: int, generator: torch.Generator, *, highest: int = 1000) -> torch.Tensor:
    """Return timesteps, (number,), int64; the noisiest are more frequent than in a uniform distribution."""
    noisiest = torch.rand(number, generator=generator) < _NEARLY_NOISE_PART
    return torch.where(
        noisiest,
        torch.randint(int(_NEARLY_NOISE * highest), highest, (number,), generator=generator),
        torch.randint(highest, (number,), generator=generator),
    )


def noise_like(clean: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Return Gaussian noise of the same shape."""
    return torch.randn(clean.shape, generator=generator)


def diffusion_loss(
    predicted: torch.Tensor, *, clean: torch.Tensor, noise: torch.Tensor, timesteps: torch.Tensor, schedule: Any
) -> torch.Tensor:
    """Return the error of the predicted noise or velocity at several resolutions.

    The mean color has little weight in a squared error over pixels, although sampling starts without it. The mean of
    k x k pixels has k^2 times the signal-to-noise ratio of a pixel, and its min-SNR-5 weight uses that ratio. The same
    prediction minimizes every term.
    Sources: Hoogeboom et al., simple diffusion, 2023, multiscale loss; Hang et al., Efficient Diffusion Training via
    Min-SNR Weighting Strategy, 2023.
    """
    is_velocity: bool = schedule.config.prediction_type == "v_prediction"
    error = predicted - (schedule.get_velocity(clean, noise, timesteps) if is_velocity else noise)
    alphas: torch.Tensor = schedule.alphas_cumprod[timesteps]
    signal_to_noise = alphas / (1 - alphas)
    loss = torch.stack(
        [
            weight
            * (pool**2 * signal_to_noise).clamp(max=_SNR_CEILING)
            * functional.avg_pool2d(error, pool).square().mean((1, 2, 3))
            for pool, weight in _pools(error)
        ]
    ).sum(0)
    return (loss / (signal_to_noise + is_velocity)).mean()


def flow_loss(predicted: torch.Tensor, *, clean: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
    """Return the squared error of the predicted velocity at several resolutions."""
    error = predicted - (noise - clean)
    return torch.stack(
        [weight * functional.avg_pool2d(error, pool).square().mean() for pool, weight in _pools(error)]
    ).sum()


def _pools(images: torch.Tensor) -> list[tuple[int, float]]:
    """Return the pooling widths in pixels that fit the images, and the weight of each."""
    weights = {1: 1.0, 4: _COARSE_WEIGHT, 16: _COARSE_WEIGHT}
    return [(pool, weight) for pool, weight in weights.items() if pool <= images.shape[-1]]


def flow_times(number: int, generator: torch.Generator) -> torch.Tensor:
    """Return the share of noise of each image, 0 to 1, mostly above 0.5, (number,).

    Source: Esser et al., Scaling Rectified Flow Transformers, 2024, logit-normal sampling, shifted by three.
    """
    times = torch.sigmoid(torch.randn(number, generator=generator))
    return _SHIFT * times / (1 + (_SHIFT - 1) * times)
