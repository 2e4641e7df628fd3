"""Flow-matching pipelines: whether the scheduler or the model synchronizes in the denoise loop.

The pipelines have no text encoders; prompt embeddings are passed.
"""

from collections.abc import Callable, Mapping
from typing import Any

import diffusers
import torch

from pytest_diffopt.guards.syncs import judge_syncs
from pytest_diffopt.guards.verdict import Verdict
from pytest_diffopt.probes.syncs import watch_syncs
from pytest_diffopt.records import Device, Subject

_NO_TEXT = {"text_encoder": None, "tokenizer": None}


def watch(name: str) -> Verdict:
    """Run a pipeline for four steps on a simulated GPU."""
    torch.manual_seed(0)
    pipeline, inputs = _PIPELINES[name]()
    pipeline.set_progress_bar_config(disable=True)
    with watch_syncs(pipeline, Subject(pipeline=name, scale="tiny", device=Device.SIMULATED)) as seen:
        _fill_rotary_tables(pipeline.transformer, seen.moved(torch.zeros(1, 3, dtype=torch.int32)))
        pipeline(**seen.moved(inputs), num_inference_steps=4, output_type="latent")
    return judge_syncs(seen.record)


def _fill_rotary_tables(transformer: Any, positions: torch.Tensor) -> None:
    """Make Z-Image copy its rotary tables to the device before the loop.

    Every release copies them in a pipeline's first step. This is another sync, which #13461 did not change.
    """
    if hasattr(transformer, "rope_embedder"):
        transformer.rope_embedder(positions)


def _vae(**changes: Any) -> Any:
    return diffusers.AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        block_out_channels=(8, 16),
        norm_num_groups=4,
        **({"latent_channels": 4} | changes),
    )


def _flux() -> tuple[Any, Mapping[str, Any]]:
    transformer = diffusers.FluxTransformer2DModel(
        in_channels=16,
        num_layers=1,
        num_single_layers=1,
        attention_head_dim=16,
        num_attention_heads=2,
        joint_attention_dim=32,
        pooled_projection_dim=32,
        axes_dims_rope=(4, 4, 8),
    )
    pipeline = diffusers.FluxPipeline(
        scheduler=diffusers.FlowMatchEulerDiscreteScheduler(),
        vae=_vae(shift_factor=0.1),
        transformer=transformer,
        text_encoder_2=None,
        tokenizer_2=None,
        **_NO_TEXT,
    )
    embeds = {"prompt_embeds": torch.randn(1, 7, 32), "pooled_prompt_embeds": torch.randn(1, 32)}
    return pipeline, {"height": 32, "width": 32, **embeds}


def _z_image() -> tuple[Any, Mapping[str, Any]]:
    transformer = diffusers.ZImageTransformer2DModel(
        in_channels=4,
        dim=32,
        n_layers=1,
        n_refiner_layers=1,
        n_heads=2,
        n_kv_heads=2,
        cap_feat_dim=16,
        axes_dims=[8, 4, 4],
        axes_lens=[256, 32, 32],
    )
    scheduler = diffusers.FlowMatchEulerDiscreteScheduler()
    pipeline = diffusers.ZImagePipeline(scheduler=scheduler, vae=_vae(), transformer=transformer, **_NO_TEXT)
    embeds = {"prompt_embeds": [torch.randn(7, 16)], "negative_prompt_embeds": [torch.randn(5, 16)]}
    return pipeline, {"height": 32, "width": 32, **embeds}


def _sd3() -> tuple[Any, Mapping[str, Any]]:
    transformer = diffusers.SD3Transformer2DModel(
        sample_size=32,
        in_channels=4,
        out_channels=4,
        num_layers=1,
        attention_head_dim=8,
        num_attention_heads=4,
        caption_projection_dim=32,
        joint_attention_dim=32,
        pooled_projection_dim=64,
    )
    without = {f"{part}_{number}": None for part in ("text_encoder", "tokenizer") for number in (2, 3)}
    scheduler = diffusers.FlowMatchEulerDiscreteScheduler()
    pipeline = diffusers.StableDiffusion3Pipeline(
        scheduler=scheduler, vae=_vae(), transformer=transformer, **_NO_TEXT, **without
    )
    names = {"prompt_embeds": (1, 7, 32), "pooled_prompt_embeds": (1, 64)}
    embeds = {prefix + name: torch.randn(shape) for name, shape in names.items() for prefix in ("", "negative_")}
    return pipeline, {"height": 32, "width": 32, **embeds}


def _cogview4() -> tuple[Any, Mapping[str, Any]]:
    transformer = diffusers.CogView4Transformer2DModel(
        in_channels=4,
        out_channels=4,
        num_layers=1,
        attention_head_dim=4,
        num_attention_heads=4,
        text_embed_dim=32,
        time_embed_dim=8,
        condition_dim=4,
    )
    scheduler = diffusers.FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True, time_shift_type="linear")
    pipeline = diffusers.CogView4Pipeline(scheduler=scheduler, vae=_vae(), transformer=transformer, **_NO_TEXT)
    embeds = {prefix + "prompt_embeds": torch.randn(1, 16, 32) for prefix in ("", "negative_")}
    return pipeline, {"height": 32, "width": 32, **embeds}


def _ltx() -> tuple[Any, Mapping[str, Any]]:
    transformer = diffusers.LTXVideoTransformer3DModel(
        in_channels=8,
        out_channels=8,
        num_attention_heads=4,
        attention_head_dim=8,
        cross_attention_dim=32,
        num_layers=1,
        caption_channels=32,
    )
    vae = diffusers.AutoencoderKLLTXVideo(
        latent_channels=8,
        block_out_channels=(8, 8, 8, 8),
        decoder_block_out_channels=(8, 8, 8, 8),
        layers_per_block=(1, 1, 1, 1, 1),
        decoder_layers_per_block=(1, 1, 1, 1, 1),
    )
    scheduler = diffusers.FlowMatchEulerDiscreteScheduler()
    pipeline = diffusers.LTXPipeline(scheduler=scheduler, vae=vae, transformer=transformer, **_NO_TEXT)
    embeds = {prefix + "prompt_embeds": torch.randn(1, 7, 32) for prefix in ("", "negative_")}
    masks = {prefix + "prompt_attention_mask": torch.ones(1, 7) for prefix in ("", "negative_")}
    return pipeline, {"height": 32, "width": 32, "num_frames": 9, **embeds, **masks}


def _sana() -> tuple[Any, Mapping[str, Any]]:
    transformer = diffusers.SanaTransformer2DModel(
        in_channels=4,
        out_channels=4,
        num_layers=1,
        num_attention_heads=2,
        attention_head_dim=4,
        num_cross_attention_heads=2,
        cross_attention_head_dim=4,
        cross_attention_dim=8,
        caption_channels=8,
        sample_size=16,
    )
    vae = diffusers.AutoencoderDC(
        in_channels=3,
        latent_channels=4,
        attention_head_dim=2,
        encoder_block_types=("ResBlock", "EfficientViTBlock"),
        decoder_block_types=("ResBlock", "EfficientViTBlock"),
        encoder_block_out_channels=(8, 8),
        decoder_block_out_channels=(8, 8),
        encoder_qkv_multiscales=((), (5,)),
        decoder_qkv_multiscales=((), (5,)),
        encoder_layers_per_block=(1, 1),
        decoder_layers_per_block=(1, 1),
        downsample_block_type="conv",
        upsample_block_type="interpolate",
    )
    scheduler = diffusers.FlowMatchEulerDiscreteScheduler(shift=7.0)
    pipeline = diffusers.SanaPipeline(scheduler=scheduler, vae=vae, transformer=transformer, **_NO_TEXT)
    embeds = {prefix + "prompt_embeds": torch.randn(1, 7, 8) for prefix in ("", "negative_")}
    masks = {prefix + "prompt_attention_mask": torch.ones(1, 7) for prefix in ("", "negative_")}
    inputs = {"height": 32, "width": 32, "negative_prompt": None, "use_resolution_binning": False}
    return pipeline, {**inputs, **embeds, **masks}


_PIPELINES: Mapping[str, Callable[[], tuple[Any, Mapping[str, Any]]]] = {
    "FluxPipeline": _flux,
    "ZImagePipeline": _z_image,
    "StableDiffusion3Pipeline": _sd3,
    "CogView4Pipeline": _cogview4,
    "LTXPipeline": _ltx,
    "SanaPipeline": _sana,
}
