"""Lessons of the denoisers of discrete diffusion. Each denoiser gets the inputs that its pipeline gives it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch.nn import functional

from tools.tiny_training.latents import latents_of, scaled
from tools.tiny_training.lesson import Lesson, Models
from tools.tiny_training.noising import diffusion_loss, noise_like, noise_schedule, random_timesteps
from tools.tiny_training.scenes import Scenes, draw_scenes
from tools.tiny_training.text import clip_output, t5_hidden, with_some_empty

_WIDTH = 64.0


@dataclass(kw_only=True)
class LatentLesson(Lesson):
    """A denoiser of latents.

    Attributes:
        schedule: the published repository whose scheduler provides the betas.
        vae: the autoencoder.
        unevenness: the standard deviation of a low-frequency offset of the noise. Without it an upscaler learns to read
            colors from the noisy image, and early errors of sampling remain; with it, the upscaler must read them from
            the small image.
            Source: Guttenberg, Diffusion with Offset Noise, 2023, which uses one offset per image.
    """

    schedule: str = "stable-diffusion-v1-5"
    vae: str = "sd-vae"
    unevenness: float = 0.0

    def begin(self, models: Models, cache: Path) -> None:  # noqa: D102
        super().begin(models, cache)
        self.latents = latents_of(self.vae, models[self.vae], self.scenes, cache)

    def prompts(self, chosen: torch.Tensor, generator: torch.Generator) -> list[str]:
        """Return captions of the chosen images, some left empty."""
        return with_some_empty(self.scenes.captions(chosen, generator), generator)

    def loss(self, models: Models, chosen: torch.Tensor, generator: torch.Generator) -> torch.Tensor:  # noqa: D102
        clean, schedule = self.latents[chosen], noise_schedule(self.schedule)
        noise, timesteps = self.noise(clean, generator), random_timesteps(len(chosen), generator)
        predicted = self.predict(models, schedule.add_noise(clean, noise, timesteps), timesteps, chosen, generator)
        predicted = predicted[:, : clean.shape[1]]  # the other half, if any, is a variance
        return diffusion_loss(predicted, clean=clean, noise=noise, timesteps=timesteps, schedule=schedule)

    def noise(self, clean: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """Return the noise to add, with a low-frequency offset."""
        noise = noise_like(clean, generator)
        if not self.unevenness:
            return noise
        offsets = noise_like(clean[..., :4, :4], generator)
        return noise + self.unevenness * functional.interpolate(offsets, size=clean.shape[-2:], mode="bilinear")

    def predict(
        self,
        models: Models,
        noisy: torch.Tensor,
        timesteps: torch.Tensor,
        chosen: torch.Tensor,
        generator: torch.Generator,
    ) -> Any:
        """Return the denoiser's prediction for noisy latents, conditioned on CLIP's hidden states."""
        hidden = clip_output(models["sd-text-encoder"], self.prompts(chosen, generator)).last_hidden_state
        return models[self.name](noisy, timesteps, hidden).sample


@dataclass(kw_only=True)
class InpaintLesson(LatentLesson):
    """An inpainting denoiser with the mask and the masked image as inputs."""

    def predict(  # noqa: D102
        self,
        models: Models,
        noisy: torch.Tensor,
        timesteps: torch.Tensor,
        chosen: torch.Tensor,
        generator: torch.Generator,
    ) -> Any:
        hidden = clip_output(models["sd-text-encoder"], self.prompts(chosen, generator)).last_hidden_state
        mask = _random_boxes(len(chosen), self.width, generator)
        with torch.no_grad():
            visible = models[self.vae].encode(self.scenes.image(chosen) * (1 - mask)).latent_dist.mean
        small = functional.interpolate(mask, size=noisy.shape[-2:])
        return models[self.name](
            torch.cat([noisy, small, scaled(models[self.vae], visible)], 1), timesteps, hidden
        ).sample


def _random_boxes(number: int, width: int, generator: torch.Generator) -> torch.Tensor:
    """Return masks with one box of ones each, most of them over the middle: (number, 1, width, width)."""
    low = torch.randint(0, width * 5 // 16, (number, 2, 1), generator=generator)
    high = torch.randint(width * 11 // 16, width, (number, 2, 1), generator=generator)
    place = torch.arange(width)[None, None]
    inside = ((place >= low) & (place < high)).float()
    return inside[:, :1, :, None] * inside[:, 1:, None, :]


@dataclass(kw_only=True)
class ControlNetLesson(LatentLesson):
    """A ControlNet for edges. Half of the prompts do not name the shape, which the edges define."""

    vague: float = 0.5

    def prompts(self, chosen: torch.Tensor, generator: torch.Generator) -> list[str]:  # noqa: D102
        return with_some_empty(self.scenes.captions(chosen, generator, vague=self.vague), generator)

    def predict(  # noqa: D102
        self,
        models: Models,
        noisy: torch.Tensor,
        timesteps: torch.Tensor,
        chosen: torch.Tensor,
        generator: torch.Generator,
    ) -> Any:
        hidden = clip_output(models["sd-text-encoder"], self.prompts(chosen, generator)).last_hidden_state
        edges = self.scenes.edges(chosen)
        down, middle = models[self.name](noisy, timesteps, hidden, controlnet_cond=edges, return_dict=False)
        unet = models["sd15-unet"]
        additions = {"down_block_additional_residuals": down, "mid_block_additional_residual": middle}
        return unet(noisy, timesteps, hidden, **additions).sample


@dataclass(kw_only=True)
class SDXLLesson(LatentLesson):
    """A denoiser with two text encoders, pooled text embeddings and sizes; zeros represent the empty prompt."""

    def predict(  # noqa: D102
        self,
        models: Models,
        noisy: torch.Tensor,
        timesteps: torch.Tensor,
        chosen: torch.Tensor,
        generator: torch.Generator,
    ) -> Any:
        prompts = self.prompts(chosen, generator)
        first = clip_output(models["sd-text-encoder"], prompts)
        second = clip_output(models["sdxl-text-encoder-2"], prompts, pad_with_end=False)
        hidden = torch.cat([first.hidden_states[-2], second.hidden_states[-2]], -1)
        is_prompted = torch.tensor([bool(prompt) for prompt in prompts])[:, None]
        sizes = torch.tensor([[_WIDTH, _WIDTH, 0, 0, _WIDTH, _WIDTH]]).repeat(len(prompts), 1)
        added = {"text_embeds": second.text_embeds * is_prompted, "time_ids": sizes}
        return models[self.name](noisy, timesteps, hidden * is_prompted[..., None], added_cond_kwargs=added).sample


@dataclass(kw_only=True)
class PixArtLesson(LatentLesson):
    """A transformer conditioned on T5's hidden states."""

    schedule: str = "PixArt-XL-2-1024-MS"

    def predict(  # noqa: D102
        self,
        models: Models,
        noisy: torch.Tensor,
        timesteps: torch.Tensor,
        chosen: torch.Tensor,
        generator: torch.Generator,
    ) -> Any:
        hidden, mask = t5_hidden(models["t5-text-encoder"], self.prompts(chosen, generator), masked=True)
        added = {"resolution": None, "aspect_ratio": None}
        return models[self.name](noisy, hidden, timesteps, encoder_attention_mask=mask, added_cond_kwargs=added).sample


@dataclass(kw_only=True)
class PixelLesson(LatentLesson):
    """A denoiser of small images, conditioned on T5's hidden states."""

    schedule: str = "IF-I-M-v1.0"

    def begin(self, models: Models, cache: Path) -> None:  # noqa: D102
        Lesson.begin(self, models, cache)
        self.latents = self.scenes.image(torch.arange(len(self.scenes.scenes)))

    def predict(  # noqa: D102
        self,
        models: Models,
        noisy: torch.Tensor,
        timesteps: torch.Tensor,
        chosen: torch.Tensor,
        generator: torch.Generator,
    ) -> Any:
        hidden, _ = t5_hidden(models["t5-text-encoder"], self.prompts(chosen, generator), masked=True)
        return models[self.name](noisy, timesteps, hidden).sample


@dataclass(kw_only=True)
class PixelUpscalerLesson(PixelLesson):
    """An upscaler that doubles the size of a noised image; the noise level is an input."""

    schedule: str = "IF-II-M-v1.0"
    highest_noise: int = 400
    unevenness: float = 0.2

    def predict(  # noqa: D102
        self,
        models: Models,
        noisy: torch.Tensor,
        timesteps: torch.Tensor,
        chosen: torch.Tensor,
        generator: torch.Generator,
    ) -> Any:
        hidden, _ = t5_hidden(models["t5-text-encoder"], self.prompts(chosen, generator), masked=True)
        small = functional.avg_pool2d(self.latents[chosen], 2)
        large = functional.interpolate(small, scale_factor=2, mode="bilinear", align_corners=True)
        levels = random_timesteps(len(chosen), generator, highest=self.highest_noise)
        noised = noise_schedule("IF-II-M-v1.0", "image_noising_scheduler").add_noise(
            large, noise_like(large, generator), levels
        )
        return models[self.name](torch.cat([noisy, noised], 1), timesteps, hidden, class_labels=levels).sample


@dataclass(kw_only=True)
class LatentUpscalerLesson(LatentLesson):
    """An upscaler that predicts latents of an image four times as large as its noised input, trained on image crops.

    Attributes:
        highest_noise: the highest noise level of the small image.
        images: the number of images of each size.
        parts: the number of crops per image.
    """

    schedule: str = "stable-diffusion-x4-upscaler"
    unevenness: float = 0.2
    highest_noise: int = 350
    images: int = 1536
    parts: int = 4

    def begin(self, models: Models, cache: Path) -> None:  # noqa: D102
        # Its inputs are Stable Diffusion's images, 64 pixels wide, and those of IF's first stage, 32 pixels wide.
        large, small = (draw_scenes(self.images, width=enlarged * self.width, seed=1) for enlarged in (4, 2))
        self.scenes = _joined(_parts(large, self.width, self.parts), _parts(small, self.width, self.parts))
        self.latents = latents_of(self.vae, models[self.vae], self.scenes, cache, kind="parts")

    def predict(  # noqa: D102
        self,
        models: Models,
        noisy: torch.Tensor,
        timesteps: torch.Tensor,
        chosen: torch.Tensor,
        generator: torch.Generator,
    ) -> Any:
        hidden = clip_output(models["sd-text-encoder"], self.prompts(chosen, generator)).last_hidden_state
        small = functional.avg_pool2d(self.scenes.image(chosen), 4)
        levels = random_timesteps(len(chosen), generator, highest=self.highest_noise)
        noised = noise_schedule(self.schedule, "low_res_scheduler").add_noise(
            small, noise_like(small, generator), levels
        )
        return models[self.name](torch.cat([noisy, noised], 1), timesteps, hidden, class_labels=levels).sample


def _parts(scenes: Scenes, width: int, number: int) -> Scenes:
    """Return random square crops of images, at multiples of four pixels."""
    generator = torch.Generator().manual_seed(0)
    room = (scenes.images.shape[-1] - width) // 4 + 1
    cut: list[torch.Tensor] = []
    for image in scenes.images.repeat_interleave(number, 0):
        top, left = (torch.randint(room, (2,), generator=generator) * 4).tolist()
        cut.append(image[:, top : top + width, left : left + width])
    named: list[Any] = [scene for scene in scenes.scenes for _ in range(number)]
    return Scenes(scenes=named, images=torch.stack(cut))


def _joined(one: Scenes, other: Scenes) -> Scenes:
    return Scenes(scenes=[*one.scenes, *other.scenes], images=torch.cat([one.images, other.images]))
