"""Lessons of the autoencoders."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch.nn import functional

from tools.tiny_training.latents import latents_of
from tools.tiny_training.lesson import Lesson, Models

_KL_WEIGHT = 1e-3
_MEASURED = 512  # images whose latents are measured


@dataclass(kw_only=True)
class KLAutoencoderLesson(Lesson):
    """A variational autoencoder, trained to reconstruct images with latents close to a normal distribution.

    Attributes:
        decoder_only: whether the encoder stays as it is, and with it every denoiser that was trained on its latents.
    """

    learning_rate: float = 2e-3
    decoder_only: bool = False

    def images(self, chosen: torch.Tensor, generator: torch.Generator) -> torch.Tensor:  # noqa: ARG002 - for others
        """Return what is reconstructed in a step."""
        return self.scenes.image(chosen)

    def loss(self, models: Models, chosen: torch.Tensor, generator: torch.Generator) -> torch.Tensor:  # noqa: D102
        images = self.images(chosen, generator)
        with torch.set_grad_enabled(not self.decoder_only):
            posterior = models[self.name].encode(images).latent_dist
        decoded = models[self.name].decode(posterior.sample(generator)).sample
        error: torch.Tensor = functional.l1_loss(decoded, images) + functional.mse_loss(decoded, images)
        divergence: torch.Tensor = (posterior.mean.square() + posterior.var - 1 - posterior.logvar).mean() / 2
        return error + _KL_WEIGHT * divergence

    def finish(self, models: Models) -> None:
        """Adjust the latents to the published configuration, unless the encoder stays as it is."""
        if not self.decoder_only:
            self.adjust(models)

    def adjust(self, models: Models) -> None:
        """Rescale the latents to a standard deviation of one after the published scaling factor."""
        vae = models[self.name]
        with torch.no_grad():
            latents = vae.encode(self.scenes.some_images(_MEASURED)).latent_dist.mean
        stretch = float(1 / (latents.std() * vae.config.scaling_factor))
        out, into = (
            (vae.quant_conv, vae.post_quant_conv) if vae.quant_conv else (vae.encoder.conv_out, vae.decoder.conv_in)
        )
        _stretch(out, into, stretch, channels=vae.config.latent_channels)


def _stretch(out: Any, into: Any, factor: float, *, channels: int) -> None:
    """Multiply the outputs of one convolution and divide the inputs of the next."""
    with torch.no_grad():
        out.weight[:channels] *= factor
        out.bias[:channels] *= factor
        out.bias[channels:] += 2 * torch.log(torch.tensor(factor))  # the other half is a log variance
        into.weight /= factor


@dataclass(kw_only=True)
class TinyAutoencoderLesson(Lesson):
    """An autoencoder without attention that uses the scaled latents of another autoencoder."""

    learning_rate: float = 2e-3

    def begin(self, models: Models, cache: Path) -> None:  # noqa: D102
        super().begin(models, cache)
        self.latents = latents_of(self.uses[0], models[self.uses[0]], self.scenes, cache)

    def loss(self, models: Models, chosen: torch.Tensor, generator: torch.Generator) -> torch.Tensor:  # noqa: D102, ARG002
        images, latents = self.scenes.image(chosen), self.latents[chosen]
        small = models[self.name]
        decoded = small.decode(latents).sample
        error: torch.Tensor = functional.l1_loss(decoded, images) + functional.mse_loss(decoded, images)
        return error + functional.mse_loss(small.encode(images).latents, latents)
