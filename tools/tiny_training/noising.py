"""How pictures are noised for training: discrete diffusion as DDPM has it, and flow matching."""

from functools import cache
from typing import Any

import torch

from pytest_diffopt.pipelines.published import published_config

_SNR_CEILING = 5.0


@cache
def noise_schedule(repository: str, component: str = "scheduler") -> Any:
    """Return a DDPM scheduler with the betas and the prediction type of a published scheduler."""
    from diffusers import DDPMScheduler  # noqa: PLC0415 - slow to import

    return DDPMScheduler.from_config(published_config(repository, component))


def random_timesteps(number: int, dice: torch.Generator, *, highest: int = 1000) -> torch.Tensor:
    """Return timesteps, (number,), int64."""
    return torch.randint(highest, (number,), generator=dice)


def noise_like(clean: torch.Tensor, dice: torch.Generator) -> torch.Tensor:
    """Return normal noise of the same shape."""
    return torch.randn(clean.shape, generator=dice)


def diffusion_loss(
    predicted: torch.Tensor, *, clean: torch.Tensor, noise: torch.Tensor, timesteps: torch.Tensor, schedule: Any
) -> torch.Tensor:
    """Return the squared error of the predicted noise or velocity, weighted by min-SNR-5.

    Source: Hang et al., Efficient Diffusion Training via Min-SNR Weighting Strategy, 2023.
    """
    is_velocity = schedule.config.prediction_type == "v_prediction"
    target = schedule.get_velocity(clean, noise, timesteps) if is_velocity else noise
    alphas: torch.Tensor = schedule.alphas_cumprod[timesteps]
    signal_to_noise = alphas / (1 - alphas)
    weight = signal_to_noise.clamp(max=_SNR_CEILING) / (signal_to_noise + is_velocity)
    wrong: torch.Tensor = weight * (predicted - target).square().mean(dim=(1, 2, 3))
    return wrong.mean()


def flow_times(number: int, dice: torch.Generator) -> torch.Tensor:
    """Return how far along the way to noise each picture is, 0 to 1, most of them in the middle: (number,).

    Source: Esser et al., Scaling Rectified Flow Transformers, 2024, logit-normal sampling.
    """
    return torch.sigmoid(torch.randn(number, generator=dice))
