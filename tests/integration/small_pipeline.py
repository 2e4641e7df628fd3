"""A user's pipeline: based on diffusers' base class, with a few thousand parameters and milliseconds per call.

Tests copy this file into the directory in which pytester runs.
"""

# mypy: disable-error-code="misc, no-any-return, untyped-decorator"
# diffusers has no type information: its classes are Any to mypy.
from typing import Any

import torch
from diffusers import ConfigMixin, DiffusionPipeline, ImagePipelineOutput, ModelMixin
from diffusers.configuration_utils import register_to_config


class SmallUNet(ModelMixin, ConfigMixin):
    """Two convolutions, conditioned on the timestep."""

    @register_to_config
    def __init__(self, channels: int = 16) -> None:
        super().__init__()
        self.conv_in = torch.nn.Conv2d(4, channels, 3, padding=1)
        self.time = torch.nn.Linear(1, channels)
        self.conv_out = torch.nn.Conv2d(channels, 4, 3, padding=1)

    def forward(self, latents: torch.Tensor, timestep: torch.Tensor) -> torch.Tensor:
        """Predict the noise."""
        hidden = self.conv_in(latents) + self.time(timestep.reshape(1, 1))[:, :, None, None]
        return self.conv_out(torch.nn.functional.silu(hidden))


class SmallVAE(ModelMixin, ConfigMixin):
    """One convolution from latents to colors."""

    @register_to_config
    def __init__(self) -> None:
        super().__init__()
        self.conv = torch.nn.Conv2d(4, 3, 1)

    def decode(self, latents: torch.Tensor) -> torch.Tensor:
        """Decode latents to an image."""
        return torch.sigmoid(self.conv(latents))


class SmallPipeline(DiffusionPipeline):
    """A pipeline with the denoise loop of every diffusers pipeline."""

    def __init__(self, unet: ModelMixin, vae: ModelMixin) -> None:
        super().__init__()
        self.register_modules(unet=unet, vae=vae)
        self.set_progress_bar_config(disable=True)

    @torch.no_grad()
    def __call__(
        self,
        prompt: str = "",
        num_inference_steps: int = 3,
        generator: torch.Generator | None = None,
        output_type: str = "np",
        size: int = 16,
    ) -> ImagePipelineOutput:
        """Generate one image."""
        latents = torch.randn(1, 4, size, size, generator=generator).to(self.device, self.dtype)
        latents = latents + len(prompt) / 100
        timesteps = torch.linspace(1, 0, num_inference_steps, device=self.device, dtype=self.dtype)
        with self.progress_bar(total=num_inference_steps) as bar:
            for timestep in timesteps:
                latents = self.step(latents, timestep, num_inference_steps)
                bar.update()
        images = self.vae.decode(latents)
        return ImagePipelineOutput(images.float().cpu().permute(0, 2, 3, 1).numpy() if output_type == "np" else images)

    def step(self, latents: torch.Tensor, timestep: torch.Tensor, num_inference_steps: int) -> torch.Tensor:
        """Make one denoise step; tests override it to inject faults into the loop."""
        return latents - self.unet(latents, timestep) / num_inference_steps


def build(unet: type[ModelMixin] = SmallUNet, pipeline: type[SmallPipeline] = SmallPipeline) -> Any:
    """Build the pipeline, with the same weights each time."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return pipeline(unet=unet(), vae=SmallVAE())


def inputs() -> dict[str, Any]:
    """Return the inputs of the plain call."""
    return {"prompt": "a red circle", "generator": torch.Generator().manual_seed(0)}
