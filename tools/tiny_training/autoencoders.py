"""Lessons of the autoencoders."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch.nn import functional

from tools.tiny_training.latents import latents_of
from tools.tiny_training.lesson import Lesson, Models

_KL_WEIGHT = 1e-3


@dataclass(kw_only=True)
class KLAutoencoderLesson(Lesson):
    """A variational autoencoder: draws what it is shown, and keeps its latents near a normal distribution."""

    learning_rate: float = 2e-3

    def loss(self, models: Models, chosen: torch.Tensor, dice: torch.Generator) -> torch.Tensor:  # noqa: D102
        images = self.scenes.image(chosen)
        posterior = models[self.name].encode(images).latent_dist
        drawn = models[self.name].decode(posterior.sample(dice)).sample
        wrong: torch.Tensor = functional.l1_loss(drawn, images) + functional.mse_loss(drawn, images)
        divergence: torch.Tensor = (posterior.mean.square() + posterior.var - 1 - posterior.logvar).mean() / 2
        return wrong + _KL_WEIGHT * divergence

    def finish(self, models: Models) -> None:
        """Stretch the latents so that the published scaling factor brings them to a standard deviation of one."""
        vae = models[self.name]
        with torch.no_grad():
            latents = vae.encode(self.scenes.image(torch.arange(512))).latent_dist.mean
        stretch = float(1 / (latents.std() * vae.config.scaling_factor))
        out, into = (
            (vae.quant_conv, vae.post_quant_conv) if vae.quant_conv else (vae.encoder.conv_out, vae.decoder.conv_in)
        )
        _stretch(out, into, stretch, channels=vae.config.latent_channels)


def _stretch(out: Any, into: Any, factor: float, *, channels: int) -> None:
    """Multiply what one convolution gives and divide what the next takes."""
    with torch.no_grad():
        out.weight[:channels] *= factor
        out.bias[:channels] *= factor
        out.bias[channels:] += 2 * torch.log(torch.tensor(factor))  # the other half is a log variance
        into.weight /= factor


@dataclass(kw_only=True)
class TinyAutoencoderLesson(Lesson):
    """An autoencoder without attention that takes and gives another's scaled latents."""

    learning_rate: float = 2e-3

    def begin(self, models: Models, cache: Path) -> None:  # noqa: D102
        super().begin(models, cache)
        self.latents = latents_of(self.uses[0], models[self.uses[0]], self.scenes, cache)

    def loss(self, models: Models, chosen: torch.Tensor, dice: torch.Generator) -> torch.Tensor:  # noqa: D102, ARG002
        images, latents = self.scenes.image(chosen), self.latents[chosen]
        small = models[self.name]
        drawn = small.decode(latents).sample
        wrong: torch.Tensor = functional.l1_loss(drawn, images) + functional.mse_loss(drawn, images)
        return wrong + functional.mse_loss(small.encode(images).latents, latents)
