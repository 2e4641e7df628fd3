"""How images are noised for training: discrete diffusion as DDPM has it, and flow matching."""

from functools import cache
from typing import Any

import torch
from torch.nn import functional

from pytest_diffopt.pipelines.published import published_config

_SNR_CEILING = 5.0
_SHIFT = 3.0  # what the published flow-matching schedulers sample with
_NEARLY_NOISE = 0.85  # from here on, of all timesteps, an image's colors drown: only the prompt can tell them
_NEARLY_NOISE_PART = 0.2  # of the training images
_COARSE_WEIGHT = 0.1  # more, and the outlines are learned late; none, and the colors never obey


@cache
def noise_schedule(repository: str, component: str = "scheduler") -> Any:
    """Return a DDPM scheduler with the betas and the prediction type of a published scheduler."""
    from diffusers import DDPMScheduler  # noqa: PLC0415 - slow to import

    return DDPMScheduler.from_config(published_config(repository, component))


def random_timesteps(number: int, dice: torch.Generator, *, highest: int = 1000) -> torch.Tensor:
    """Return timesteps, (number,), int64; the noisiest come up more often than by their number."""
    noisiest = torch.rand(number, generator=dice) < _NEARLY_NOISE_PART
    return torch.where(
        noisiest,
        torch.randint(int(_NEARLY_NOISE * highest), highest, (number,), generator=dice),
        torch.randint(highest, (number,), generator=dice),
    )


def noise_like(clean: torch.Tensor, dice: torch.Generator) -> torch.Tensor:
    """Return normal noise of the same shape."""
    return torch.randn(clean.shape, generator=dice)


def diffusion_loss(
    predicted: torch.Tensor, *, clean: torch.Tensor, noise: torch.Tensor, timesteps: torch.Tensor, schedule: Any
) -> torch.Tensor:
    """Return the error of the predicted noise or velocity, for its pixels and for its coarse parts.

    An ordinary squared error hardly knows of the mean color, one number among thousands; but sampling starts without
    it. The mean of k x k pixels has k^2 times the pixels' signal-to-noise ratio, and min-SNR-5 weighs it by that. The
    least of each is reached by the same prediction.
    Sources: Hoogeboom et al., simple diffusion, 2023, multiscale loss; Hang et al., Efficient Diffusion Training via
    Min-SNR Weighting Strategy, 2023.
    """
    is_velocity: bool = schedule.config.prediction_type == "v_prediction"
    error = predicted - (schedule.get_velocity(clean, noise, timesteps) if is_velocity else noise)
    alphas: torch.Tensor = schedule.alphas_cumprod[timesteps]
    signal_to_noise = alphas / (1 - alphas)
    wrong = torch.stack(
        [
            weight
            * (pool**2 * signal_to_noise).clamp(max=_SNR_CEILING)
            * functional.avg_pool2d(error, pool).square().mean((1, 2, 3))
            for pool, weight in _pools(error)
        ]
    ).sum(0)
    return (wrong / (signal_to_noise + is_velocity)).mean()


def flow_loss(predicted: torch.Tensor, *, clean: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
    """Return the squared error of the predicted velocity, for its pixels and for its coarse parts."""
    error = predicted - (noise - clean)
    return torch.stack(
        [weight * functional.avg_pool2d(error, pool).square().mean() for pool, weight in _pools(error)]
    ).sum()


def _pools(images: torch.Tensor) -> list[tuple[int, float]]:
    """Return the widths of the coarse parts, from one pixel to nearly the whole, and what each counts for."""
    weights = {1: 1.0, 4: _COARSE_WEIGHT, 16: _COARSE_WEIGHT}
    return [(pool, weight) for pool, weight in weights.items() if pool <= images.shape[-1]]


def flow_times(number: int, dice: torch.Generator) -> torch.Tensor:
    """Return how far along the way to noise each image is, 0 to 1, most of them beyond the middle: (number,).

    Source: Esser et al., Scaling Rectified Flow Transformers, 2024, logit-normal sampling, shifted by three.
    """
    times = torch.sigmoid(torch.randn(number, generator=dice))
    return _SHIFT * times / (1 + (_SHIFT - 1) * times)
