"""Lessons of the flow-matching transformers, which learn the velocity from image to noise."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import diffusers
import torch
from torch.nn import functional

from tools.tiny_training.denoisers import LatentLesson
from tools.tiny_training.lesson import Models
from tools.tiny_training.noising import flow_loss, flow_times, noise_like
from tools.tiny_training.text import clip_output, encoded_once, qwen_output, t5_hidden


@dataclass(kw_only=True)
class FlowLesson(LatentLesson):
    """Stable Diffusion 3: conditioned on two CLIP encoders, their pooled embeddings, and T5."""

    vae: str = "sd3-vae"

    def loss(self, models: Models, chosen: torch.Tensor, generator: torch.Generator) -> torch.Tensor:  # noqa: D102
        clean = self.latents[chosen]
        noise, times = noise_like(clean, generator), flow_times(len(chosen), generator)
        share = times[:, None, None, None]
        predicted = self.predict(models, (1 - share) * clean + share * noise, times, chosen, generator)
        return flow_loss(predicted, clean=clean, noise=noise)

    def predict(  # noqa: D102
        self,
        models: Models,
        noisy: torch.Tensor,
        timesteps: torch.Tensor,
        chosen: torch.Tensor,
        generator: torch.Generator,
    ) -> Any:
        prompts = self.prompts(chosen, generator)
        by_t5, _ = t5_hidden(models["t5-text-encoder"], prompts, masked=False)
        clip = models["sdxl-text-encoder-2"]
        both = [clip_output(clip, prompts), clip_output(clip, prompts, pad_with_end=False)]
        by_clip = torch.cat([output.hidden_states[-2] for output in both], -1)
        by_clip = functional.pad(by_clip, (0, by_t5.shape[-1] - by_clip.shape[-1]))
        pooled = torch.cat([output.text_embeds for output in both], -1)
        return models[self.name](noisy, torch.cat([by_clip, by_t5], 1), pooled, timesteps * 1000).sample


@dataclass(kw_only=True)
class DistilledFlowLesson(FlowLesson):
    """A transformer without classifier-free guidance: no prompt is empty."""

    def prompts(self, chosen: torch.Tensor, generator: torch.Generator) -> list[str]:  # noqa: D102
        return self.scenes.captions(chosen, generator)


@dataclass(kw_only=True)
class FluxLesson(DistilledFlowLesson):
    """FLUX: conditioned on T5 and CLIP's pooled embeddings, with the guidance scale as an input."""

    def predict(  # noqa: D102
        self,
        models: Models,
        noisy: torch.Tensor,
        timesteps: torch.Tensor,
        chosen: torch.Tensor,
        generator: torch.Generator,
    ) -> Any:
        prompts = self.prompts(chosen, generator)
        hidden, _ = t5_hidden(models["t5-text-encoder"], prompts, masked=False)
        pooled = clip_output(models["sd-text-encoder"], prompts).pooler_output
        number, channels, height, width = noisy.shape
        packing: Any = diffusers.FluxPipeline
        packed = models[self.name](
            packing._pack_latents(noisy, number, channels, height, width),  # noqa: SLF001 - diffusers has no public one
            encoder_hidden_states=hidden,
            pooled_projections=pooled,
            timestep=timesteps,
            img_ids=packing._prepare_latent_image_ids(number, height // 2, width // 2, noisy.device, noisy.dtype),  # noqa: SLF001
            txt_ids=torch.zeros(hidden.shape[1], 3),
            guidance=1 + 4 * torch.rand(number, generator=generator),
        ).sample
        return packing._unpack_latents(packed, height, width, 1)  # noqa: SLF001 - sizes in latents


@dataclass(kw_only=True)
class ZImageLesson(DistilledFlowLesson):
    """Z-Image-Turbo: conditioned on Qwen3's hidden states, without guidance; predicts the negative velocity."""

    vae: str = "z-image-vae"

    def begin(self, models: Models, cache: Path) -> None:  # noqa: D102
        super().begin(models, cache)
        self.encoded: dict[str, torch.Tensor] = {}

    def predict(  # noqa: D102
        self,
        models: Models,
        noisy: torch.Tensor,
        timesteps: torch.Tensor,
        chosen: torch.Tensor,
        generator: torch.Generator,
    ) -> Any:
        encode = partial(_qwen_states, models["z-image-text-encoder"])
        hidden = encoded_once(self.encoded, self.prompts(chosen, generator), encode)
        predicted = models[self.name](list(noisy[:, :, None].unbind()), 1 - timesteps, hidden).sample
        return -torch.stack(predicted).squeeze(2)


def _qwen_states(encoder: Any, prompts: list[str]) -> list[torch.Tensor]:
    output, mask = qwen_output(encoder, prompts)
    return [states[its] for states, its in zip(output.hidden_states[-2], mask, strict=True)]
