"""Compare the simulated GPU's speed with FakeTensorMode's for forward passes of full-size SDXL and FLUX.1.

Run `python benchmarks/simulated_gpu_speed.py`. Models are built without weights. The two sides alternate step by step,
so that a busy machine slows both. The fastest steps are compared; the first step, which fills the caches, is shown
separately.
"""

import argparse
import resource
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from pytest_diffopt.simulated_gpu import SimulatedGPU

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from diffusers import AutoencoderKL, EulerDiscreteScheduler, FluxTransformer2DModel, UNet2DConditionModel

# The published architectures, where they differ from diffusers' defaults.
SDXL_UNET: dict[str, Any] = {
    "sample_size": 128,
    "addition_embed_type": "text_time",
    "addition_time_embed_dim": 256,
    "attention_head_dim": (5, 10, 20),
    "block_out_channels": (320, 640, 1280),
    "cross_attention_dim": 2048,
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
    "projection_class_embeddings_input_dim": 2816,
    "transformer_layers_per_block": (1, 2, 10),
    "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
    "use_linear_projection": True,
}
SDXL_VAE: dict[str, Any] = {
    "block_out_channels": (128, 256, 512, 512),
    "down_block_types": ("DownEncoderBlock2D",) * 4,
    "up_block_types": ("UpDecoderBlock2D",) * 4,
    "layers_per_block": 2,
    "latent_channels": 4,
    "sample_size": 1024,
    "scaling_factor": 0.13025,
}
FLUX_TRANSFORMER: dict[str, Any] = {"guidance_embeds": True}


def sdxl_inputs(device: Any) -> dict[str, Any]:
    """Return the UNet's inputs for one image of 1024 x 1024 with guidance."""
    half = {"device": device, "dtype": torch.float16}
    return {
        "sample": torch.randn(2, 4, 128, 128, **half),
        "timestep": torch.tensor(500, device=device),
        "encoder_hidden_states": torch.randn(2, 77, 2048, **half),
        "added_cond_kwargs": {"text_embeds": torch.randn(2, 1280, **half), "time_ids": torch.randn(2, 6, **half)},
        "return_dict": False,
    }


def flux_inputs(device: Any) -> dict[str, Any]:
    """Return the transformer's inputs for one image of 1024 x 1024."""
    half = {"device": device, "dtype": torch.bfloat16}
    return {
        "hidden_states": torch.randn(1, 4096, 64, **half),
        "encoder_hidden_states": torch.randn(1, 512, 4096, **half),
        "pooled_projections": torch.randn(1, 768, **half),
        "timestep": torch.ones(1, **half),
        "guidance": torch.ones(1, **half),
        "img_ids": torch.zeros(4096, 3, **half),
        "txt_ids": torch.zeros(512, 3, **half),
        "return_dict": False,
    }


def build(model: type, config: dict[str, Any], dtype: torch.dtype, device: str = "meta") -> Any:
    """Build a model; without weights by default."""
    torch.set_default_dtype(dtype)
    try:
        with torch.device(device):
            return model(**config).eval()
    finally:
        torch.set_default_dtype(torch.float32)


@dataclass(frozen=True, kw_only=True, slots=True)
class Model:
    """A full-size model.

    Attributes:
        name: name in the table.
        kind: class of diffusers.
        config: the architecture.
        dtype: dtype of the weights.
        inputs: creates the inputs of one step on a device.
    """

    name: str
    kind: type
    config: dict[str, Any]
    dtype: torch.dtype
    inputs: Callable[[Any], dict[str, Any]]


def seconds(call: Callable[[], object]) -> float:
    """Return the wall-clock time of a call."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def compare(model: Model, steps: int) -> None:
    """Alternate steps on the simulated GPU and under FakeTensorMode, and print both times."""
    module = build(model.kind, model.config, model.dtype)
    fake_mode = FakeTensorMode()
    with fake_mode:
        fake = build(model.kind, model.config, model.dtype, "cpu")
    simulated, faked = [], []
    with SimulatedGPU() as gpu:
        module.to(gpu.device)
        ours = model.inputs(gpu.device)
        with fake_mode:
            theirs = model.inputs("cpu")
        for step in range(steps):
            gpu.enter_phase(step)
            simulated.append(seconds(lambda: module(**ours)))
            with fake_mode:
                faked.append(seconds(lambda: fake(**theirs)))
    counts = gpu.phases[steps - 1]
    ours_s, theirs_s = min(simulated[1:]), min(faked[1:])
    each = ours_s / counts.operations * 1e6
    print(f"{model.name}: {counts.flops / 1e12:.2f} TFLOP, {counts.operations} operations a step")
    print(f"  simulated GPU   first {simulated[0]:6.3f} s   later {ours_s:6.3f} s = {each:.0f} us an operation")
    print(f"  FakeTensorMode  first {faked[0]:6.3f} s   later {theirs_s:6.3f} s")
    print(f"  ratio           first {simulated[0] / faked[0]:6.2f}     later {ours_s / theirs_s:6.2f}   (1.5 allowed)")


def whole_sdxl(steps: int) -> None:
    """Run the denoise loop and the VAE decode at full size; print time and memory (15 s and 3 GiB allowed)."""
    start = time.perf_counter()
    unet = build(UNet2DConditionModel, SDXL_UNET, torch.float16)
    vae = build(AutoencoderKL, SDXL_VAE, torch.float16)
    scheduler = EulerDiscreteScheduler()
    with SimulatedGPU() as gpu:
        unet.to(gpu.device)
        vae.to(gpu.device)
        scheduler.set_timesteps(steps, device=gpu.device)
        inputs = sdxl_inputs(gpu.device)
        latents = torch.randn(1, 4, 128, 128, device=gpu.device, dtype=torch.float16)
        for number, timestep in enumerate(scheduler.timesteps):
            gpu.enter_phase(f"step {number}")
            inputs["sample"] = scheduler.scale_model_input(torch.cat([latents] * 2), timestep)
            inputs["timestep"] = timestep
            uncond, text = unet(**inputs)[0].chunk(2)
            latents = scheduler.step(uncond + 5.0 * (text - uncond), timestep, latents).prev_sample
        gpu.enter_phase("decode")
        vae.decode(latents / vae.config.scaling_factor).sample.cpu()
    took = time.perf_counter() - start
    gib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    syncs = [sum(sync.phase == f"step {number}" for sync in gpu.syncs) for number in range(steps)]
    print(f"SDXL, {steps} steps and VAE decode: {took:.1f} s (15 allowed), {gib:.2f} GiB (3 allowed)")
    print(f"  {gpu.flops / 1e12:.1f} TFLOP, peak {gpu.peak_memory_bytes / 2**30:.2f} GiB on the GPU")
    print(f"  syncs: {syncs[0]} in the first step, {sum(syncs[1:])} later")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=5, help="steps in each comparison")
    arguments = parser.parse_args()
    torch.set_grad_enabled(False)
    whole_sdxl(30)
    compare(
        Model(
            name="SDXL UNet",
            kind=UNet2DConditionModel,
            config=SDXL_UNET,
            dtype=torch.float16,
            inputs=sdxl_inputs,
        ),
        arguments.steps,
    )
    compare(
        Model(
            name="FLUX.1-dev transformer",
            kind=FluxTransformer2DModel,
            config=FLUX_TRANSFORMER,
            dtype=torch.bfloat16,
            inputs=flux_inputs,
        ),
        arguments.steps,
    )


if __name__ == "__main__":
    main()
