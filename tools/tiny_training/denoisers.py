"""Lessons of the denoisers of discrete diffusion; each is told and shown what its pipeline will tell and show it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch.nn import functional

from tools.tiny_training.latents import latents_of, scaled
from tools.tiny_training.lesson import Lesson, Models
from tools.tiny_training.noising import diffusion_loss, noise_like, noise_schedule, random_timesteps
from tools.tiny_training.scenes import Scenes, draw_scenes
from tools.tiny_training.text import clip_output, t5_hidden, without_some

_WIDTH = 64.0


@dataclass(kw_only=True)
class LatentLesson(Lesson):
    """A denoiser of latents.

    Attributes:
        schedule: the published repository whose scheduler's betas are learned for.
        vae: the autoencoder.
        unevenness: how much brighter or darker the noise is here than there. An upscaler could have most colors from
            the noisy image; then it does so, and what sampling gets wrong early stays wrong. With uneven noise it
            must have them from the small image.
            Source: Guttenberg, Diffusion with Offset Noise, 2023, there for a whole image at once.
    """

    schedule: str = "stable-diffusion-v1-5"
    vae: str = "sd-vae"
    unevenness: float = 0.0

    def begin(self, models: Models, cache: Path) -> None:  # noqa: D102
        super().begin(models, cache)
        self.latents = latents_of(self.vae, models[self.vae], self.scenes, cache)

    def prompts(self, chosen: torch.Tensor, dice: torch.Generator) -> list[str]:
        """Return captions of the chosen images, some left empty."""
        return without_some(self.scenes.captions(chosen, dice), dice)

    def loss(self, models: Models, chosen: torch.Tensor, dice: torch.Generator) -> torch.Tensor:  # noqa: D102
        clean, schedule = self.latents[chosen], noise_schedule(self.schedule)
        noise, timesteps = self.noise(clean, dice), random_timesteps(len(chosen), dice)
        predicted = self.predict(models, schedule.add_noise(clean, noise, timesteps), timesteps, chosen, dice)
        predicted = predicted[:, : clean.shape[1]]  # the other half would be a variance
        return diffusion_loss(predicted, clean=clean, noise=noise, timesteps=timesteps, schedule=schedule)

    def noise(self, clean: torch.Tensor, dice: torch.Generator) -> torch.Tensor:
        """Return the noise that is added, a little brighter or darker here than there."""
        noise = noise_like(clean, dice)
        if not self.unevenness:
            return noise
        offsets = noise_like(clean[..., :4, :4], dice)
        return noise + self.unevenness * functional.interpolate(offsets, size=clean.shape[-2:], mode="bilinear")

    def predict(
        self, models: Models, noisy: torch.Tensor, timesteps: torch.Tensor, chosen: torch.Tensor, dice: torch.Generator
    ) -> Any:
        """Return what the denoiser says of noisy latents, told by CLIP."""
        told = clip_output(models["sd-text-encoder"], self.prompts(chosen, dice)).last_hidden_state
        return models[self.name](noisy, timesteps, told).sample


@dataclass(kw_only=True)
class InpaintLesson(LatentLesson):
    """Fills what a mask covers: it sees the mask and the rest of the image."""

    def predict(  # noqa: D102
        self, models: Models, noisy: torch.Tensor, timesteps: torch.Tensor, chosen: torch.Tensor, dice: torch.Generator
    ) -> Any:
        told = clip_output(models["sd-text-encoder"], self.prompts(chosen, dice)).last_hidden_state
        mask = _random_boxes(len(chosen), self.width, dice)
        with torch.no_grad():
            visible = models[self.vae].encode(self.scenes.image(chosen) * (1 - mask)).latent_dist.mean
        small = functional.interpolate(mask, size=noisy.shape[-2:])
        return models[self.name](
            torch.cat([noisy, small, scaled(models[self.vae], visible)], 1), timesteps, told
        ).sample


def _random_boxes(number: int, width: int, dice: torch.Generator) -> torch.Tensor:
    """Return masks with one box of ones each, most of them over the middle: (number, 1, width, width)."""
    low = torch.randint(0, width * 5 // 16, (number, 2, 1), generator=dice)
    high = torch.randint(width * 11 // 16, width, (number, 2, 1), generator=dice)
    place = torch.arange(width)[None, None]
    inside = ((place >= low) & (place < high)).float()
    return inside[:, :1, :, None] * inside[:, 1:, None, :]


@dataclass(kw_only=True)
class ControlNetLesson(LatentLesson):
    """Says where the edges are, while the prompt often does not say what the shape is."""

    vague: float = 0.5

    def prompts(self, chosen: torch.Tensor, dice: torch.Generator) -> list[str]:  # noqa: D102
        return without_some(self.scenes.captions(chosen, dice, vague=self.vague), dice)

    def predict(  # noqa: D102
        self, models: Models, noisy: torch.Tensor, timesteps: torch.Tensor, chosen: torch.Tensor, dice: torch.Generator
    ) -> Any:
        told = clip_output(models["sd-text-encoder"], self.prompts(chosen, dice)).last_hidden_state
        edges = self.scenes.edges(chosen)
        down, middle = models[self.name](noisy, timesteps, told, controlnet_cond=edges, return_dict=False)
        unet = models["sd15-unet"]
        additions = {"down_block_additional_residuals": down, "mid_block_additional_residual": middle}
        return unet(noisy, timesteps, told, **additions).sample


@dataclass(kw_only=True)
class SDXLLesson(LatentLesson):
    """Told by two encoders, by what the second pools, and by sizes; nothing at all stands for the empty prompt."""

    def predict(  # noqa: D102
        self, models: Models, noisy: torch.Tensor, timesteps: torch.Tensor, chosen: torch.Tensor, dice: torch.Generator
    ) -> Any:
        prompts = self.prompts(chosen, dice)
        first = clip_output(models["sd-text-encoder"], prompts)
        second = clip_output(models["sdxl-text-encoder-2"], prompts, pad_with_end=False)
        told = torch.cat([first.hidden_states[-2], second.hidden_states[-2]], -1)
        said = torch.tensor([bool(prompt) for prompt in prompts])[:, None]
        sizes = torch.tensor([[_WIDTH, _WIDTH, 0, 0, _WIDTH, _WIDTH]]).repeat(len(prompts), 1)
        added = {"text_embeds": second.text_embeds * said, "time_ids": sizes}
        return models[self.name](noisy, timesteps, told * said[..., None], added_cond_kwargs=added).sample


@dataclass(kw_only=True)
class PixArtLesson(LatentLesson):
    """A transformer told by T5."""

    schedule: str = "PixArt-XL-2-1024-MS"

    def predict(  # noqa: D102
        self, models: Models, noisy: torch.Tensor, timesteps: torch.Tensor, chosen: torch.Tensor, dice: torch.Generator
    ) -> Any:
        told, mask = t5_hidden(models["t5-text-encoder"], self.prompts(chosen, dice), masked=True)
        added = {"resolution": None, "aspect_ratio": None}
        return models[self.name](noisy, told, timesteps, encoder_attention_mask=mask, added_cond_kwargs=added).sample


@dataclass(kw_only=True)
class PixelLesson(LatentLesson):
    """A denoiser of small images, told by T5."""

    schedule: str = "IF-I-M-v1.0"

    def begin(self, models: Models, cache: Path) -> None:  # noqa: D102
        Lesson.begin(self, models, cache)
        self.latents = self.scenes.image(torch.arange(len(self.scenes.scenes)))

    def predict(  # noqa: D102
        self, models: Models, noisy: torch.Tensor, timesteps: torch.Tensor, chosen: torch.Tensor, dice: torch.Generator
    ) -> Any:
        told, _ = t5_hidden(models["t5-text-encoder"], self.prompts(chosen, dice), masked=True)
        return models[self.name](noisy, timesteps, told).sample


@dataclass(kw_only=True)
class PixelUpscalerLesson(PixelLesson):
    """Doubles an image that was noised; it is told how much."""

    schedule: str = "IF-II-M-v1.0"
    highest_noise: int = 400
    unevenness: float = 0.2

    def predict(  # noqa: D102
        self, models: Models, noisy: torch.Tensor, timesteps: torch.Tensor, chosen: torch.Tensor, dice: torch.Generator
    ) -> Any:
        told, _ = t5_hidden(models["t5-text-encoder"], self.prompts(chosen, dice), masked=True)
        small = functional.avg_pool2d(self.latents[chosen], 2)
        large = functional.interpolate(small, scale_factor=2, mode="bilinear", align_corners=True)
        levels = random_timesteps(len(chosen), dice, highest=self.highest_noise)
        noised = noise_schedule("IF-II-M-v1.0", "image_noising_scheduler").add_noise(
            large, noise_like(large, dice), levels
        )
        return models[self.name](torch.cat([noisy, noised], 1), timesteps, told, class_labels=levels).sample


@dataclass(kw_only=True)
class LatentUpscalerLesson(LatentLesson):
    """Sees a noised image, and draws the latents of one four times as large; learned on parts of images.

    Attributes:
        highest_noise: of the small image.
        images: how many there are of each size.
        parts: how many each is cut into.
    """

    schedule: str = "stable-diffusion-x4-upscaler"
    unevenness: float = 0.2
    highest_noise: int = 350
    images: int = 1536
    parts: int = 4

    def begin(self, models: Models, cache: Path) -> None:  # noqa: D102
        # It enlarges what Stable Diffusion draws, 64 pixels wide, and what IF's first stage draws, 32 pixels wide.
        large, small = (draw_scenes(self.images, width=enlarged * self.width, seed=1) for enlarged in (4, 2))
        self.scenes = _joined(_parts(large, self.width, self.parts), _parts(small, self.width, self.parts))
        self.latents = latents_of(self.vae, models[self.vae], self.scenes, cache, kind="parts")

    def predict(  # noqa: D102
        self, models: Models, noisy: torch.Tensor, timesteps: torch.Tensor, chosen: torch.Tensor, dice: torch.Generator
    ) -> Any:
        told = clip_output(models["sd-text-encoder"], self.prompts(chosen, dice)).last_hidden_state
        small = functional.avg_pool2d(self.scenes.image(chosen), 4)
        levels = random_timesteps(len(chosen), dice, highest=self.highest_noise)
        noised = noise_schedule(self.schedule, "low_res_scheduler").add_noise(small, noise_like(small, dice), levels)
        return models[self.name](torch.cat([noisy, noised], 1), timesteps, told, class_labels=levels).sample


def _parts(scenes: Scenes, width: int, number: int) -> Scenes:
    """Cut random squares out of images, at multiples of four pixels."""
    dice = torch.Generator().manual_seed(0)
    room = (scenes.images.shape[-1] - width) // 4 + 1
    cut: list[torch.Tensor] = []
    for image in scenes.images.repeat_interleave(number, 0):
        top, left = (torch.randint(room, (2,), generator=dice) * 4).tolist()
        cut.append(image[:, top : top + width, left : left + width])
    named: list[Any] = [scene for scene in scenes.scenes for _ in range(number)]
    return Scenes(scenes=named, images=torch.stack(cut))


def _joined(one: Scenes, other: Scenes) -> Scenes:
    return Scenes(scenes=[*one.scenes, *other.scenes], images=torch.cat([one.images, other.images]))
