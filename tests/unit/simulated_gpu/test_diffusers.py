"""Real diffusers models and schedulers on the simulated GPU."""

import inspect
import math
import warnings
from collections import Counter

import pytest
import torch

from pytest_diffopt.simulated_gpu import SimulatedGPU, SyncKind

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # diffusers imports torchao, whose docstrings hold invalid escapes
    import diffusers
    import diffusers.models.unets.unet_2d_condition

# numpy 2 and torch disagree about `__array__`; diffusers calls it.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


def tiny_unet() -> torch.nn.Module:
    """Build a UNet with the blocks and the conditioning of SDXL."""
    torch.manual_seed(0)
    unet = diffusers.UNet2DConditionModel(
        block_out_channels=(8, 16),
        layers_per_block=1,
        sample_size=16,
        in_channels=4,
        out_channels=4,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        attention_head_dim=(2, 4),
        use_linear_projection=True,
        addition_embed_type="text_time",
        addition_time_embed_dim=8,
        transformer_layers_per_block=(1, 2),
        projection_class_embeddings_input_dim=80,
        cross_attention_dim=32,
        norm_num_groups=2,
    )
    module: torch.nn.Module = unet.eval()
    return module


def inputs(device: torch.device | str) -> dict[str, object]:
    """Return the UNet's inputs on a device."""
    generator = torch.Generator().manual_seed(1)

    def randn(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator).to(device)

    return {
        "sample": randn(2, 4, 16, 16),
        "timestep": torch.tensor(7).to(device),
        "encoder_hidden_states": randn(2, 5, 32),
        "added_cond_kwargs": {"text_embeds": randn(2, 32), "time_ids": randn(2, 6)},
    }


def denoise(scheduler_class: type, *, steps: int = 6) -> list[Counter[SyncKind]]:
    """Run a scheduler alone on the device, and return the number of syncs of each step, by kind."""
    gpu = SimulatedGPU()
    with gpu, torch.no_grad():
        scheduler = scheduler_class(num_train_timesteps=1000)
        scheduler.set_timesteps(steps, device=gpu.device)
        latents = torch.randn(1, 4, 16, 16, device=gpu.device) * scheduler.init_noise_sigma
        for number, timestep in enumerate(scheduler.timesteps):
            gpu.enter_phase(number)
            scaled = scheduler.scale_model_input(latents, timestep)
            latents = scheduler.step(scaled * 0.1, timestep, latents).prev_sample
        gpu.enter_phase(None)
    return [Counter(sync.kind for sync in gpu.syncs if sync.phase == step) for step in range(number + 1)]


def test_unet_computes_what_the_cpu_computes() -> None:
    """If all values are kept, the results are the CPU's."""
    unet = tiny_unet()
    with torch.no_grad():
        expected = unet(**inputs("cpu")).sample
        with SimulatedGPU(real_up_to=math.inf) as gpu:
            unet.to(gpu.device)
            actual = unet(**inputs(gpu.device)).sample.cpu()

    torch.testing.assert_close(actual, expected, rtol=1e-5, atol=1e-5)


def test_counts_do_not_depend_on_kept_values() -> None:
    """FLOPs, operations and memory are the same with all, some and no values."""
    counts = set()
    for real_up_to in (0, 500, math.inf):
        unet = tiny_unet()
        with SimulatedGPU(real_up_to=real_up_to) as gpu, torch.no_grad():
            unet.to(gpu.device)
            unet(**inputs(gpu.device))
        counts.add(gpu.counts)

    assert len(counts) == 1


@pytest.mark.parametrize(
    ("name", "first", "later"),
    [
        ("EulerDiscreteScheduler", 2, 0),
        ("EulerAncestralDiscreteScheduler", 2, 0),
        ("DPMSolverMultistepScheduler", 2, 0),
        ("DDIMScheduler", 6, 6),
        ("DDPMScheduler", 13, 13),
    ],
)
def test_syncs_of_a_scheduler(name: str, first: int, later: int) -> None:
    """The number of syncs in each step is that found by reading diffusers' source."""
    syncs = denoise(getattr(diffusers, name))

    assert [first, *[later] * 4] == [step.total() for step in syncs[:-1]]


def test_syncs_of_pndm() -> None:
    """PNDM reads two values in each step."""
    assert {step.total() for step in denoise(diffusers.PNDMScheduler)[:3]} == {2}


def test_syncs_of_unipc() -> None:
    """UniPC copies its sigmas to the device in every step, and checks the linear system that it solves there."""
    assert denoise(diffusers.UniPCMultistepScheduler)[3] == {SyncKind.COPY_FROM_HOST: 6, SyncKind.READ: 1}


def test_injected_read_is_found() -> None:
    """A read that is added to a denoise loop is found with its file, line and step."""
    with SimulatedGPU() as gpu:
        latents = torch.ones(4, device=gpu.device)
        for step in range(3):
            gpu.enter_phase(f"step {step}")
            latents = latents * 2
            if step == 1:
                latents.max().item()
                line = inspect.currentframe().f_lineno - 1  # type: ignore[union-attr]
        gpu.enter_phase(None)

    (sync,) = gpu.syncs

    assert (sync.where.file, sync.where.line) == ("tests/unit/simulated_gpu/test_diffusers.py", line)
    assert (sync.phase, sync.kind, sync.shown_as) == ("step 1", SyncKind.READ, ".item()")
    assert sync.where.source == "latents.max().item()"
