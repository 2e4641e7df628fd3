"""Lessons of the video models: an autoencoder of frames, and a flow-matching transformer over its latents."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from pytest_diffopt.pipelines.moving_scenes import Motion
from pytest_diffopt.pipelines.scenes import COLORS, Shape
from tools.tiny_training.autoencoders import KLAutoencoderLesson
from tools.tiny_training.flows import FlowLesson
from tools.tiny_training.latents import latents_of
from tools.tiny_training.lesson import Models
from tools.tiny_training.noising import flow_loss, flow_times, noise_like
from tools.tiny_training.reading import ReadingLesson
from tools.tiny_training.scenes import Scenes, draw_moving_scenes, random_moving_scenes
from tools.tiny_training.text import encoded_once, umt5_hidden

_CAPTIONS = 20_000
_MEASURED = 256  # videos whose latents are measured
# The frames of each step's videos, and the share of the steps: the encoder takes one frame, and then four at a time.
_LENGTHS, _SHARES = (1, 5, 9), (0.5, 0.25, 0.25)


@dataclass(kw_only=True)
class VideoReadingLesson(ReadingLesson):
    """Wan's UMT5 encoder, which must also encode in which direction the shape moves."""

    def begin(self, models: Models, cache: Path) -> None:  # noqa: D102, ARG002 - no frames are needed
        self.scenes = Scenes(scenes=random_moving_scenes(_CAPTIONS, seed=0), images=torch.empty(0))

    def properties(self) -> dict[str, list[str]]:  # noqa: D102
        return {"shape": list(Shape), "color": list(COLORS), "background": list(COLORS), "motion": list(Motion)}

    def kinds(self) -> tuple[str, ...]:  # noqa: D102
        return ("last",)

    def states(self, encoder: Any, captions: Any, generator: torch.Generator) -> list[Any]:  # noqa: D102, ARG002
        hidden, mask = umt5_hidden(encoder, captions)
        return [("last", hidden, mask)]


@dataclass(kw_only=True)
class VideoAutoencoderLesson(KLAutoencoderLesson):
    """Wan's causal autoencoder, trained to reconstruct all frames of a video."""

    def begin(self, models: Models, cache: Path) -> None:  # noqa: D102, ARG002 - no latents are needed
        self.scenes = draw_moving_scenes(self.number_of_scenes, seed=0)

    def images(self, chosen: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """Return a piece of each video, from any frame on; the longer the fewer, so that all steps cost as much."""
        videos = self.scenes.image(chosen)
        number = _LENGTHS[int(torch.multinomial(torch.tensor(_SHARES), 1, generator=generator))]
        start = int(torch.randint(videos.shape[2] - number + 1, (1,), generator=generator))
        return videos[: -(-len(chosen) // number), :, start : start + number]

    def adjust(self, models: Models) -> None:
        """Move the latents to the published mean of each channel, and to a mean of the published deviations."""
        vae = models[self.name]
        with torch.no_grad():
            latents = vae.encode(self.scenes.some_images(_MEASURED)).latent_dist.mean
        means = latents.mean((0, 2, 3, 4))
        _normalize(vae, means=means, deviation=(latents - means[:, None, None, None]).std())


def _normalize(vae: Any, *, means: torch.Tensor, deviation: torch.Tensor) -> None:
    """Change the two convolutions around the latents to the published means and deviations.

    Decoded videos stay the same.

    Args:
        vae: the autoencoder.
        means: the mean of each channel of its latents.
        deviation: the standard deviation of all of them from the mean of their channel.
    """
    published, factors = torch.tensor(vae.config.latents_mean), torch.tensor(vae.config.latents_std) / deviation
    channels, into, out = len(means), vae.post_quant_conv, vae.quant_conv
    with torch.no_grad():
        into.bias += into.weight[:, :, 0, 0, 0] @ (means - published / factors)
        into.weight /= factors[:, None, None, None]
        out.weight[:channels] *= factors[:, None, None, None, None]
        out.bias[:channels] = (out.bias[:channels] - means) * factors + published
        out.bias[channels:] += 2 * torch.log(factors)  # the other half is a log variance


@dataclass(kw_only=True)
class WanLesson(FlowLesson):
    """Wan's transformer: conditioned on UMT5's hidden states, with guidance by the empty prompt.

    Attributes:
        highest_time: the share of noise below which the pipeline uses this transformer.
    """

    vae: str = "wan-vae"
    highest_time: float = 1.0

    def begin(self, models: Models, cache: Path) -> None:  # noqa: D102
        self.scenes = draw_moving_scenes(self.number_of_scenes, seed=0)
        self.latents = latents_of(self.vae, models[self.vae], self.scenes, cache, kind="videos")
        self.encoded: dict[str, torch.Tensor] = {}

    def loss(self, models: Models, chosen: torch.Tensor, generator: torch.Generator) -> torch.Tensor:  # noqa: D102
        clean = self.latents[chosen]
        noise, times = noise_like(clean, generator), self.highest_time * flow_times(len(chosen), generator)
        share = times[:, None, None, None, None]
        predicted = self.predict(models, (1 - share) * clean + share * noise, times, chosen, generator)
        return flow_loss(_frames(predicted), clean=_frames(clean), noise=_frames(noise))

    def predict(  # noqa: D102
        self,
        models: Models,
        noisy: torch.Tensor,
        timesteps: torch.Tensor,
        chosen: torch.Tensor,
        generator: torch.Generator,
    ) -> Any:
        encoder = models["wan-text-encoder"]
        prompts = self.prompts(chosen, generator)
        hidden = torch.stack(encoded_once(self.encoded, prompts, lambda new: umt5_hidden(encoder, new)[0]))
        return models[self.name](noisy, timesteps * 1000, hidden).sample


def _frames(latents: torch.Tensor) -> torch.Tensor:
    """Return the latents of each frame: (batch * frames, channels, height, width)."""
    return latents.transpose(1, 2).flatten(0, 1)
