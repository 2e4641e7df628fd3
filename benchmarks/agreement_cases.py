"""Small cases that run identically on the simulated GPU and on a real GPU."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import diffusers
import torch

from pytest_diffopt.pipelines.loading import build_pipeline
from pytest_diffopt.pipelines.registry import find_pipeline
from pytest_diffopt.pipelines.scale import Scale

_SCHEDULERS = (
    "DDIMScheduler", "DDPMScheduler", "DEISMultistepScheduler", "DPMSolverMultistepScheduler",
    "DPMSolverSinglestepScheduler", "EulerAncestralDiscreteScheduler", "EulerDiscreteScheduler",
    "FlowMatchEulerDiscreteScheduler", "HeunDiscreteScheduler", "KDPM2AncestralDiscreteScheduler",
    "KDPM2DiscreteScheduler", "LCMScheduler", "LMSDiscreteScheduler", "PNDMScheduler", "UniPCMultistepScheduler",
)  # fmt: skip
_STEPS = 4
_SHAPE = (1, 4, 16, 16)
# Without a GPU these two show that the simulated side works.
_WITHOUT_GPU = ("EulerDiscreteScheduler", "DDIMScheduler")


@dataclass(frozen=True, kw_only=True, slots=True)
class Case:
    """One case for both devices.

    Attributes:
        name: unique and readable.
        prepare: creates modules and inputs on a device, and returns the call to measure.
    """

    name: str
    prepare: Callable[[torch.device], Callable[[], object]]


def cases(*, with_gpu: bool) -> Iterator[Case]:
    """Yield every case, or two cases without a GPU, where nothing can be compared."""
    for name in _SCHEDULERS if with_gpu else _WITHOUT_GPU:
        yield Case(name=name, prepare=_scheduler(name))
    if with_gpu:
        yield Case(name="sdxl (tiny)", prepare=_sdxl)
        yield from _rows()


def _scheduler(name: str) -> Callable[[torch.device], Callable[[], object]]:
    def prepare(device: torch.device) -> Callable[[], object]:
        scheduler = getattr(diffusers, name)(num_train_timesteps=1000)
        scheduler.set_timesteps(_STEPS, device=device)
        unet = _unet().to(device)
        latents = torch.randn(_SHAPE, generator=torch.Generator().manual_seed(0)).to(device)
        return lambda: _denoise(scheduler, unet, latents)

    return prepare


@torch.no_grad()
def _denoise(scheduler: Any, unet: Any, latents: torch.Tensor) -> torch.Tensor:
    scale = getattr(scheduler, "scale_model_input", lambda sample, _: sample)
    for timestep in scheduler.timesteps:
        noise = unet(scale(latents, timestep), timestep).sample
        latents = scheduler.step(noise, timestep, latents).prev_sample
    return latents


def _unet() -> Any:
    torch.manual_seed(0)
    return diffusers.UNet2DModel(
        sample_size=_SHAPE[-1],
        in_channels=4,
        out_channels=4,
        block_out_channels=(16, 32),
        down_block_types=("DownBlock2D", "AttnDownBlock2D"),
        up_block_types=("AttnUpBlock2D", "UpBlock2D"),
        layers_per_block=1,
        norm_num_groups=8,
    ).eval()


def _sdxl(device: torch.device) -> Callable[[], object]:
    family = find_pipeline("sdxl")
    pipeline = build_pipeline(family, Scale.TINY, device=str(device)).pipeline
    return lambda: pipeline(**family.inputs(Scale.TINY))


def _rows() -> Iterator[Case]:
    """Yield the calls that test the rows of the simulated GPU's sync table."""
    from tests.unit.simulated_gpu.cuda.test_sync_table import CASES, Things  # noqa: PLC0415 - it needs pytest

    for row in CASES:

        def prepare(device: torch.device, call: Callable[[Any], object] = row.call) -> Callable[[], object]:
            things = Things(device)
            return lambda: call(things)

        yield Case(name=f"row: {row.name}", prepare=prepare)
