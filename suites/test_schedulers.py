"""Every scheduler in a denoise loop on the simulated GPU: which of them synchronize, where, and how often.

The syncs of current diffusers are listed as allowances, with file, function and count. A new sync fails, and so does a
fixed sync until its allowance is removed. Nothing is timed, so these tests run on any machine.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import diffusers
import pytest
import torch

from pytest_diffopt import AllowedSyncs, PipelineInputs, assert_no_syncs

NUM_STEPS = 6
NOISE = "a CPU generator draws the noise of each step, so that a seed gives the same noise on every GPU"
TIMESTEP_INDEX = "alphas_cumprod is on the CPU and is indexed with a timestep on the GPU, as published"
SIGMA_COPY = "sigmas are on the CPU and are copied to the GPU one by one"
FIND_STEP = "the first step looks up its timestep; the pipeline sets no begin index"

noise = AllowedSyncs(where="torch_utils.py:randn_tensor", per_step=1, reason=NOISE)


def reads(file: str, function: str, per_step: int, *, first_step: int | None = None) -> AllowedSyncs:
    """Allow a scheduler to read the timestep."""
    where = f"scheduling_{file}.py:{function}"
    return AllowedSyncs(where=where, per_step=per_step, first_step=first_step, reason=TIMESTEP_INDEX)


def finds_step(file: str, function: str = "index_for_timestep") -> AllowedSyncs:
    """Allow a scheduler to look up its first timestep."""
    return AllowedSyncs(where=f"scheduling_{file}.py:{function}", per_step=0, first_step=2, reason=FIND_STEP)


def ddim(file: str) -> list[AllowedSyncs]:
    """Return the known syncs of DDIM or its parallel variant."""
    return [reads(file, "step", 3), reads(file, "_get_variance", 3)]


def ddpm(file: str) -> list[AllowedSyncs]:
    """Return the known syncs of DDPM or its parallel variant."""
    syncs = {"previous_timestep": 6, "step": 4, "_get_variance": 3}
    return [*(reads(file, function, count) for function, count in syncs.items()), noise]


UNIPC = [
    AllowedSyncs(
        where="scheduling_unipc_multistep.py:multistep_uni_p_bh_update", per_step=3, first_step=2, reason=SIGMA_COPY
    ),
    AllowedSyncs(
        where="scheduling_unipc_multistep.py:multistep_uni_c_bh_update", per_step=4, first_step=0, reason=SIGMA_COPY
    ),
]
SYNCS: dict[str, list[AllowedSyncs]] = {
    "CosineDPMSolverMultistepScheduler": [],
    "DDIMInverseScheduler": [reads("ddim_inverse", "step", 4, first_step=3)],
    "DDIMParallelScheduler": ddim("ddim_parallel"),
    "DDIMScheduler": ddim("ddim"),
    "DDPMParallelScheduler": ddpm("ddpm_parallel"),
    "DDPMScheduler": ddpm("ddpm"),
    "DEISMultistepScheduler": [],
    "DPMSolverMultistepInverseScheduler": [finds_step("dpmsolver_multistep_inverse", "_init_step_index")],
    "DPMSolverMultistepScheduler": [],
    "DPMSolverSDEScheduler": [],
    "DPMSolverSinglestepScheduler": [],
    "EDMDPMSolverMultistepScheduler": [],
    "EDMEulerScheduler": [],
    "EulerAncestralDiscreteScheduler": [noise],
    "EulerDiscreteScheduler": [],
    "HeunDiscreteScheduler": [],
    "IPNDMScheduler": [],
    "KDPM2AncestralDiscreteScheduler": [noise],
    "KDPM2DiscreteScheduler": [],
    "LCMScheduler": [reads("lcm", "step", 3), noise],
    "LMSDiscreteScheduler": [],
    "PNDMScheduler": [reads("pndm", "_get_prev_sample", 3, first_step=6)],
    "SASolverScheduler": [
        AllowedSyncs(
            where="scheduling_sasolver.py:<lambda>",
            per_step=4,
            first_step=2,
            reason="the default tau_func compares the timestep in Python",
        ),
        noise,
    ],
    "TCDScheduler": [reads("tcd", "step", 4)],
    "UniPCMultistepScheduler": UNIPC,
}
OPTIONS = {"PNDMScheduler": {"skip_prk_steps": True}}
FLOW_OPTIONS = {"use_flow_sigmas": True, "prediction_type": "flow_prediction"}


# diffusers' SD3 pipeline sets no begin index (its Flux pipeline does since 0.34).
FLOW_SYNCS: dict[str, list[AllowedSyncs]] = {
    "DPMSolverMultistepScheduler": [finds_step("dpmsolver_multistep")],
    "FlowMatchEulerDiscreteScheduler": [finds_step("flow_match_euler_discrete")],
    "FlowMatchHeunDiscreteScheduler": [
        finds_step("flow_match_heun_discrete"),
        AllowedSyncs(
            where="scheduling_flow_match_heun_discrete.py:step",
            per_step=4,
            reason="sigmas are on the GPU and compared in Python",
        ),
    ],
    "FlowMatchLCMScheduler": [finds_step("flow_match_lcm")],
    "UniPCMultistepScheduler": [finds_step("unipc_multistep"), *UNIPC],
}


@contextmanager
def scheduler_of(pipeline: Any, name: str, options: dict[str, Any]) -> Iterator[None]:
    """Replace the pipeline's scheduler for the duration of a block; the new one gets the same configuration."""
    before = pipeline.scheduler
    pipeline.scheduler = getattr(diffusers, name).from_config(before.config, **options)
    try:
        yield
    finally:
        pipeline.scheduler = before


@pytest.mark.parametrize("scheduler", sorted(SYNCS))
def test_scheduler_syncs_no_more_than_is_known(sdxl: Any, scheduler: str) -> None:
    """A scheduler for SD and SDXL synchronizes at exactly the known places."""
    with scheduler_of(sdxl, scheduler, OPTIONS.get(scheduler, {})):
        assert_no_syncs(sdxl, allow_syncs=SYNCS[scheduler], **inputs())


@pytest.mark.parametrize("scheduler", sorted(FLOW_SYNCS))
def test_flow_matching_scheduler_syncs_no_more_than_is_known(sd3: Any, scheduler: str) -> None:
    """A flow-matching scheduler synchronizes at exactly the known places."""
    options = {} if scheduler.startswith("FlowMatch") else FLOW_OPTIONS
    with scheduler_of(sd3, scheduler, options):
        assert_no_syncs(sd3, allow_syncs=FLOW_SYNCS[scheduler], **inputs())


@pytest.fixture(scope="module")
def sdxl(diffopt_device: str) -> Any:
    """Build Stable Diffusion XL with its published scheduler, a few thousand parameters and no text encoders."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        unet = diffusers.UNet2DConditionModel(
            sample_size=16,
            block_out_channels=(8, 16),
            down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
            layers_per_block=1,
            norm_num_groups=4,
            attention_head_dim=(1, 2),
            cross_attention_dim=32,
            use_linear_projection=True,
            addition_embed_type="text_time",
            addition_time_embed_dim=8,
            projection_class_embeddings_input_dim=64 + 6 * 8,
        )
    scheduler = diffusers.EulerDiscreteScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        timestep_spacing="leading",
        steps_offset=1,
    )
    encoders = dict.fromkeys(["text_encoder", "text_encoder_2", "tokenizer", "tokenizer_2"])
    pipeline = diffusers.StableDiffusionXLPipeline(unet=unet, vae=small_vae(), scheduler=scheduler, **encoders)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline.to(diffopt_device)


@pytest.fixture(scope="module")
def sd3(diffopt_device: str) -> Any:
    """Build Stable Diffusion 3 with a few thousand parameters and without text encoders."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        transformer = diffusers.SD3Transformer2DModel(
            sample_size=16,
            patch_size=2,
            in_channels=4,
            out_channels=4,
            num_layers=1,
            attention_head_dim=8,
            num_attention_heads=4,
            joint_attention_dim=32,
            caption_projection_dim=32,
            pooled_projection_dim=64,
            pos_embed_max_size=16,
        )
    encoders = dict.fromkeys(
        ["text_encoder", "text_encoder_2", "text_encoder_3", "tokenizer", "tokenizer_2", "tokenizer_3"]
    )
    scheduler = diffusers.FlowMatchEulerDiscreteScheduler()
    pipeline = diffusers.StableDiffusion3Pipeline(
        transformer=transformer, vae=small_vae(shift_factor=0.06), scheduler=scheduler, **encoders
    )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline.to(diffopt_device)


def small_vae(**options: Any) -> Any:
    """Build an autoencoder that halves the size of an image."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return diffusers.AutoencoderKL(
            block_out_channels=(8, 16),
            down_block_types=("DownEncoderBlock2D",) * 2,
            up_block_types=("UpDecoderBlock2D",) * 2,
            latent_channels=4,
            norm_num_groups=4,
            scaling_factor=1.5,
            use_quant_conv=False,
            use_post_quant_conv=False,
            **options,
        )


def inputs() -> PipelineInputs:
    """Return a call with random prompt embeddings."""
    generator = torch.Generator().manual_seed(0)
    text, pooled = torch.randn(2, 1, 8, 32, generator=generator), torch.randn(2, 1, 64, generator=generator)
    return PipelineInputs(
        {
            "prompt_embeds": text[0],
            "negative_prompt_embeds": text[1],
            "pooled_prompt_embeds": pooled[0],
            "negative_pooled_prompt_embeds": pooled[1],
            "height": 32,
            "width": 32,
            "num_inference_steps": NUM_STEPS,
            "output_type": "np",
        }
    )
