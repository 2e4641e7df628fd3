"""A user's pipeline of video with audio: two denoisers with a boundary, and a few thousand parameters.

Tests copy this file into the directory in which pytester runs.
"""

# mypy: disable-error-code="misc, no-any-return, untyped-decorator, no-untyped-call"
# diffusers has no type information: its classes are Any to mypy.
from dataclasses import dataclass
from typing import Any

import torch
from diffusers import ConfigMixin, DiffusionPipeline, FlowMatchEulerDiscreteScheduler, ModelMixin
from diffusers.configuration_utils import register_to_config
from diffusers.utils import BaseOutput

FRAMES, SIDE = 8, 24
RATE_HZ = 8000
SAMPLES = RATE_HZ // 4


@dataclass
class VideoOutput(BaseOutput):
    """Frames, shape (1, frames, height, width, 3) or channels first, and audio, shape (1, 1, samples)."""

    frames: Any
    audio: Any = None


class SmallTransformer(ModelMixin, ConfigMixin):
    """One linear layer over channels, between a way in and a way out."""

    @register_to_config
    def __init__(self, width: int = 64) -> None:
        super().__init__()
        self.proj_in = torch.nn.Linear(4, width)
        self.middle = torch.nn.Linear(width, width)
        self.proj_out = torch.nn.Linear(width, 4)

    def forward(self, hidden_states: torch.Tensor, timestep: torch.Tensor) -> torch.Tensor:
        """Predict the velocity of latents, shape (1, 4, frames, height, width)."""
        hidden = self.proj_in(hidden_states.movedim(1, -1)) + timestep / 1000
        return self.proj_out(self.middle(torch.nn.functional.silu(hidden))).movedim(-1, 1)


class SmallVAE(ModelMixin, ConfigMixin):
    """From latents to a square that moves by one pixel per frame, on a background of the latents' colors."""

    @register_to_config
    def __init__(self) -> None:
        super().__init__()
        self.conv = torch.nn.Conv3d(4, 3, 1)

    def decode(self, latents: torch.Tensor) -> torch.Tensor:
        """Decode latents to frames in [0, 1], shape (1, 3, frames, height, width)."""
        video = torch.sigmoid(self.conv(latents)) / 4
        for frame in range(video.shape[2]):
            video[:, :, frame, 6:16, 2 + frame : 12 + frame] += 0.6
        return video


class Vocoder(ModelMixin, ConfigMixin):
    """From latents to a tone that rises."""

    @register_to_config
    def __init__(self, sampling_rate: int = RATE_HZ) -> None:  # noqa: ARG002 - only part of the configuration
        super().__init__()
        self.gain = torch.nn.Parameter(torch.tensor(0.3))

    def forward(self, latents: torch.Tensor) -> torch.Tensor:
        """Return audio, shape (1, 1, samples)."""
        time = torch.arange(SAMPLES, device=latents.device) / RATE_HZ
        tone = torch.sin(6.2832 * (300 + 900 * time) * time).to(latents.dtype)
        return (self.gain * (1 + latents.mean() / 10) * tone)[None, None]


class SmallVideoPipeline(DiffusionPipeline):
    """A pipeline whose later steps run a second denoiser, as in Wan 2.2."""

    def __init__(  # noqa: PLR0913 - one for each component
        self,
        *,
        transformer: ModelMixin,
        transformer_2: ModelMixin,
        vae: ModelMixin,
        vocoder: ModelMixin,
        scheduler: Any,
        boundary_ratio: float = 0.5,
    ) -> None:
        super().__init__()
        self.register_modules(
            transformer=transformer, transformer_2=transformer_2, vae=vae, vocoder=vocoder, scheduler=scheduler
        )
        self.register_to_config(boundary_ratio=boundary_ratio)
        self.set_progress_bar_config(disable=True)

    @torch.no_grad()
    def __call__(
        self,
        num_inference_steps: int = 4,
        num_frames: int = FRAMES,
        generator: torch.Generator | None = None,
        output_type: str = "np",
    ) -> VideoOutput:
        """Generate one video."""
        latents = torch.randn(1, 4, num_frames, SIDE, SIDE, generator=generator).to(self.device, self.dtype)
        self.scheduler.set_timesteps(num_inference_steps, device=self.device)
        self.scheduler.set_begin_index(0)
        for number, timestep in self.steps(num_inference_steps):
            denoiser = self.transformer if self.is_noisy(number, num_inference_steps) else self.transformer_2
            velocity = denoiser(latents, timestep.to(latents.dtype))
            latents = self.scheduler.step(velocity, timestep, latents, return_dict=False)[0].to(self.dtype)
        video = self.vae.decode(latents).movedim(1, 2)
        frames = video if output_type == "pt" else video.movedim(2, -1).float().cpu().numpy()
        return VideoOutput(frames=frames, audio=self.vocoder(latents).float().cpu())

    def steps(self, num_inference_steps: int) -> Any:
        """Yield the number and the timestep of each step; tests override it for a loop without a bar."""
        with self.progress_bar(total=num_inference_steps) as bar:
            for number, timestep in enumerate(self.scheduler.timesteps):
                yield number, timestep
                bar.update()

    def is_noisy(self, number: int, num_inference_steps: int) -> bool:
        """Return whether a step comes before the boundary."""
        return number < num_inference_steps * self.config.boundary_ratio


class WithoutBar(SmallVideoPipeline):
    """The same pipeline with a loop that opens no progress bar."""

    def steps(self, num_inference_steps: int) -> Any:
        """Yield the number and the timestep of each step."""
        del num_inference_steps
        yield from enumerate(self.scheduler.timesteps)


def build(pipeline: type[SmallVideoPipeline] = SmallVideoPipeline, **options: Any) -> Any:
    """Build the pipeline, with the same weights each time."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return pipeline(
            transformer=SmallTransformer(),
            transformer_2=SmallTransformer(),
            vae=SmallVAE(),
            vocoder=Vocoder(),
            scheduler=FlowMatchEulerDiscreteScheduler(),
            **options,
        )


def inputs() -> dict[str, Any]:
    """Return the inputs of the plain call."""
    return {"generator": torch.Generator().manual_seed(0)}


class Changed:
    """A pipeline whose output is changed after the call."""

    def __init__(self, pipeline: Any, *, frames: Any = None, audio: Any = None) -> None:
        self.pipeline, self.frames, self.audio = pipeline, frames, audio

    def __call__(self, **inputs: Any) -> VideoOutput:
        """Make the call, and change its frames and audio."""
        output = self.pipeline(**inputs)
        frames = output.frames if self.frames is None else self.frames(output.frames)
        audio = output.audio if self.audio is None else self.audio(output.audio)
        return VideoOutput(frames=frames, audio=audio)

    @property
    def components(self) -> dict[str, Any]:
        """The components of the pipeline, of which one states the sampling rate."""
        return self.pipeline.components
