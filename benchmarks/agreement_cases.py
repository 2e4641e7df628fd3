"""Cases that run identically on the simulated GPU and on CUDA."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import diffusers
import torch

from pytest_diffopt.pipelines.components import modules_of
from pytest_diffopt.pipelines.host_memory import replace_tensors
from pytest_diffopt.pipelines.loading import build_pipeline, build_without_weights
from pytest_diffopt.pipelines.registry import find_pipeline, known_pipelines
from pytest_diffopt.pipelines.scale import Scale
from pytest_diffopt.probes.offloading import on_device
from pytest_diffopt.recipes.grammar import parse_recipe
from pytest_diffopt.simulated_gpu import Stream

_SCHEDULERS = (
    "DDIMScheduler", "DDPMScheduler", "DEISMultistepScheduler", "DPMSolverMultistepScheduler",
    "DPMSolverSinglestepScheduler", "EulerAncestralDiscreteScheduler", "EulerDiscreteScheduler",
    "FlowMatchEulerDiscreteScheduler", "HeunDiscreteScheduler", "KDPM2AncestralDiscreteScheduler",
    "KDPM2DiscreteScheduler", "LCMScheduler", "LMSDiscreteScheduler", "PNDMScheduler", "UniPCMultistepScheduler",
)  # fmt: skip
#: The case in which only the chosen attention kernels are compared.
ATTENTION = "attention: 700 random calls"
_STEPS = 4
_SHAPE = (1, 4, 16, 16)
_FULL_SIZE_STEPS = 2
# Each stage reads the image of the one before, which has no values at full size.
_READS_ITS_IMAGE = "deepfloyd-if"
# Its decoder fills a mask row by row: 49,290 operations of one line, for which both devices take minutes.
_SHORTER = {"hunyuan-video-1.5": {"output_type": "latent"}}
# What uses less memory, at full size: of a UNet and of a transformer.
_LESS_MEMORY = {
    "sdxl": (
        "bf16 + vae_tiling", "bf16 + vae_slicing", "bf16 + model_offload", "bf16 + sequential_offload",
        "bf16 + group_offload", 'bf16 + group_offload(type="leaf")', "bf16 + layerwise_casting",
        "bf16 + vae_tiling + layerwise_casting + group_offload",
    ),
    "flux": ("bf16 + model_offload", "bf16 + group_offload", "bf16 + vae_tiling + layerwise_casting + group_offload"),
}  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class Case:
    """One case for both devices.

    Attributes:
        name: unique and readable.
        prepare: creates modules and inputs on a device, and returns the call to measure.
        is_full_size: whether only small tensors have values, and the peak is that of the process.
        row: the name of the row of the sync table that it tests; empty if it tests none.
    """

    name: str
    prepare: Callable[[torch.device], Callable[[], object]]
    is_full_size: bool = False
    row: str = ""

    @property
    def is_pipeline(self) -> bool:
        """Whether it is a whole pipeline, not one call."""
        return self.name.startswith(("tiny: ", "full: ", "memory: "))


def all_cases() -> Iterator[Case]:
    """Yield every case: schedulers, rows of the sync table, each built-in pipeline, and recipes for less memory."""
    for name in _SCHEDULERS:
        yield Case(name=f"scheduler: {name}", prepare=_scheduler(name))
    yield from _rows()
    yield Case(name=ATTENTION, prepare=_nothing)
    for name in known_pipelines():
        yield Case(name=f"tiny: {name}", prepare=_tiny(name))
    for name in known_pipelines():
        if not name.startswith(_READS_ITS_IMAGE):
            yield Case(name=f"full: {name}", prepare=_full(name), is_full_size=True)
    for name, recipes in _LESS_MEMORY.items():
        for recipe in recipes:
            yield Case(name=f"memory: {name}, {recipe}", prepare=_full(name, recipe), is_full_size=True)


def _nothing(_: torch.device) -> Callable[[], object]:
    return lambda: None


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


def _tiny(name: str) -> Callable[[torch.device], Callable[[], object]]:
    def prepare(device: torch.device) -> Callable[[], object]:
        family = find_pipeline(name)
        pipeline = build_pipeline(family, Scale.TINY, device=str(device)).pipeline
        return lambda: pipeline(**family.inputs(Scale.TINY))

    return prepare


def _full(name: str, recipe: str = "bf16") -> Callable[[torch.device], Callable[[], object]]:
    def prepare(device: torch.device) -> Callable[[], object]:
        family = find_pipeline(name)
        pipeline = build_without_weights(family, Scale.FULL).pipeline
        pipeline.set_progress_bar_config(disable=True)
        inputs = dict(family.inputs(Scale.FULL)) | {"num_inference_steps": _FULL_SIZE_STEPS} | _SHORTER.get(name, {})
        if device.type == "cuda":  # offload hooks move their modules to where the pipeline is when they are made
            pipeline = _on_cuda(pipeline.to(torch.bfloat16))
        parse_recipe(recipe).apply(pipeline)
        aimed = ExitStack()
        if device.type == "cuda":
            torch.cuda.empty_cache()  # of what was moved to the host: on the simulated GPU nothing is cached, either
        else:
            aimed.enter_context(on_device(pipeline, device, new_stream=Stream))

        def call() -> object:
            with aimed:  # the hooks are as before when the call has ended
                return pipeline(**inputs)

        return call

    return prepare


def _on_cuda(pipeline: Any) -> Any:
    """Move a pipeline without weights to CUDA: memory is allocated in the order of `to`, and not written."""
    replace_tensors(pipeline, lambda tensor: _like_on_cuda(tensor) if tensor.is_meta else tensor.cuda())
    for module in modules_of(pipeline).values():
        for one in module.modules():  # a table of positions that is no buffer stays on the host
            tables = {name: value for name, value in vars(one).items() if isinstance(value, torch.Tensor)}
            vars(one).update({name: torch.zeros_like(value, device="cpu") for name, value in tables.items()})
    return pipeline.to("cuda")


def _like_on_cuda(tensor: torch.Tensor) -> torch.Tensor:
    """Allocate like a tensor without values: positions are read, and memory that was used before holds any."""
    create = torch.empty_like if tensor.is_floating_point() else torch.zeros_like
    return create(tensor, device="cuda")


def _rows() -> Iterator[Case]:
    """Yield the calls that test the rows of the simulated GPU's sync table."""
    from tests.unit.simulated_gpu.cuda.test_sync_table import CASES, Things  # noqa: PLC0415 - it needs pytest

    for one in CASES:

        def prepare(device: torch.device, call: Callable[[Any], object] = one.call) -> Callable[[], object]:
            things = Things(device)
            return lambda: call(things)

        yield Case(name=f"row: {one.name}", prepare=prepare, row=one.rule)
