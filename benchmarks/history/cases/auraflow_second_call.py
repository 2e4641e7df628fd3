"""AuraFlow in float16: whether the pipeline can be called again after it has moved its VAE to float32."""

import diffusers
import torch

from pytest_diffopt.guards.repeatability import judge_repeatability
from pytest_diffopt.guards.verdict import Outcome, Verdict
from pytest_diffopt.probes.calls import repeatable_call
from pytest_diffopt.probes.repeatability import compare_repeats
from pytest_diffopt.records import Concern, Device, Subject

_SUBJECT = Subject(pipeline="AuraFlowPipeline", scale="tiny", recipe="fp16", device=Device.CPU)


def watch() -> Verdict:
    """Call once, which must pass, and then twice to compare; an error there fails like a difference."""
    pipeline = _pipeline()
    embeds = {prefix + "prompt_embeds": torch.randn(1, 7, 32).half() for prefix in ("", "negative_")}
    masks = {prefix + "prompt_attention_mask": torch.ones(1, 7) for prefix in ("", "negative_")}
    inputs = {"height": 32, "width": 32, "num_inference_steps": 2, "output_type": "np", **embeds, **masks}
    call = repeatable_call(pipeline, (), {**inputs, "generator": torch.Generator().manual_seed(0)})
    call()
    try:
        record = compare_repeats(call, _SUBJECT)
    except RuntimeError as error:
        headline = f"the second call fails: {str(error).splitlines()[0]}"
        return Verdict(
            concern=Concern.REPEATABILITY,
            outcome=Outcome.REGRESSED,
            subject=_SUBJECT,
            summary=headline,
            explanation=(headline,),
        )
    return judge_repeatability(record)


def _pipeline() -> diffusers.AuraFlowPipeline:
    torch.manual_seed(0)
    pipeline = diffusers.AuraFlowPipeline(
        transformer=diffusers.AuraFlowTransformer2DModel(
            sample_size=32,
            in_channels=4,
            out_channels=4,
            num_mmdit_layers=1,
            num_single_dit_layers=1,
            attention_head_dim=8,
            num_attention_heads=4,
            caption_projection_dim=32,
            joint_attention_dim=32,
            pos_embed_max_size=256,
        ),
        vae=diffusers.AutoencoderKL(
            down_block_types=("DownEncoderBlock2D",) * 2,
            up_block_types=("UpDecoderBlock2D",) * 2,
            block_out_channels=(8, 16),
            norm_num_groups=4,
        ),
        scheduler=diffusers.FlowMatchEulerDiscreteScheduler(),
        text_encoder=None,
        tokenizer=None,
    )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline.to(torch.float16)
