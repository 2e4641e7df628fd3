"""Schedulers whose `step()` synchronizes, in a small Stable Diffusion pipeline."""

import diffusers
import torch

from pytest_diffopt.guards.syncs import judge_syncs
from pytest_diffopt.guards.verdict import Verdict
from pytest_diffopt.probes.syncs import watch_syncs
from pytest_diffopt.records import Device, Subject


def watch(scheduler: str) -> Verdict:
    """Run six steps with a scheduler on a simulated GPU."""
    torch.manual_seed(0)
    pipeline = diffusers.StableDiffusionPipeline(
        unet=diffusers.UNet2DConditionModel(
            sample_size=16,
            block_out_channels=(8, 16),
            layers_per_block=1,
            down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
            cross_attention_dim=16,
            attention_head_dim=4,
            norm_num_groups=4,
        ),
        vae=diffusers.AutoencoderKL(block_out_channels=(8,), norm_num_groups=4),
        scheduler=getattr(diffusers, scheduler)(),
        text_encoder=None,
        tokenizer=None,
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipeline.set_progress_bar_config(disable=True)
    embeds = {name: torch.randn(1, 7, 16) for name in ("prompt_embeds", "negative_prompt_embeds")}
    with watch_syncs(pipeline, Subject(pipeline=f"sd with {scheduler}", scale="tiny", device=Device.SIMULATED)) as seen:
        pipeline(**seen.moved(embeds), num_inference_steps=6, output_type="latent")
    return judge_syncs(seen.record)
