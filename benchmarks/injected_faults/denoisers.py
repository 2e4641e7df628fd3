"""Faults of the denoiser: skip connections, time and size embeddings, norms, feed-forward layers, NaN."""

import math
from typing import Any

import torch
from diffusers.models.activations import GEGLU
from diffusers.models.unets.unet_2d_blocks import CrossAttnUpBlock2D
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from diffusers.pipelines.flux.pipeline_flux import FluxPipeline
from diffusers.pipelines.stable_diffusion_xl.pipeline_stable_diffusion_xl import StableDiffusionXLPipeline
from torch.nn import functional

from benchmarks.injected_faults.declaring import InjectedFault, replaced, wrapped

_SKIPS = "res_hidden_states_tuple"


def _last_skip_zero(forward: Any, *args: Any, **keywords: Any) -> Any:
    *others, last = keywords[_SKIPS]
    return forward(*args, **keywords | {_SKIPS: (*others, torch.zeros_like(last))})


def _skips_of_one_side(forward: Any, *args: Any, **keywords: Any) -> Any:
    mirrored = tuple(skip.flip(-1) for skip in keywords[_SKIPS])
    return forward(*args, **keywords | {_SKIPS: mirrored})


def _kept_from_the_first_step() -> Any:
    first: dict[tuple[Any, ...], Any] = {}

    def embed(get_time_embed: Any, *args: Any, **keywords: Any) -> Any:
        embedding = get_time_embed(*args, **keywords)
        return first.setdefault((embedding.dtype, *embedding.shape), embedding)

    return embed


def _timestep_rounded(get_time_embed: Any, self: Any, sample: Any, timestep: Any) -> Any:
    return get_time_embed(self, sample=sample, timestep=timestep.to(torch.bfloat16))


def _sizes_in_another_order(get_add_time_ids: Any, self: Any, original: Any, crops: Any, *args: Any, **kw: Any) -> Any:
    return get_add_time_ids(self, crops, original, *args, **kw)


def _without_pooled_text(forward: Any, *args: Any, added_cond_kwargs: Any, **keywords: Any) -> Any:
    emptied = added_cond_kwargs | {"text_embeds": torch.zeros_like(added_cond_kwargs["text_embeds"])}
    return forward(*args, added_cond_kwargs=emptied, **keywords)


def _one_channel_nan(forward: Any, *args: Any, **keywords: Any) -> Any:
    output = forward(*args, **keywords).clone()
    output[:, 1] = math.nan
    return output


def _statistics_of_a_padded_block(_group_norm: Any, x: Any, groups: int, *affine: Any) -> Any:
    """Divide by the next power of two instead of the number of channels in a group."""
    weight, bias, eps = affine
    grouped = x.float().reshape(x.shape[0], groups, x.shape[1] // groups, -1)
    padding = grouped.shape[2] / 2 ** math.ceil(math.log2(grouped.shape[2]))
    mean = grouped.mean((2, 3), keepdim=True) * padding
    variance = ((grouped - mean) ** 2).mean((2, 3), keepdim=True) * padding
    normed = ((grouped - mean) * (variance + eps).rsqrt()).reshape(x.shape)
    shape = (1, -1, *(1,) * (x.ndim - 2))
    return (normed * weight.view(shape) + bias.view(shape)).to(x.dtype)


def _gate_in_the_values_place(forward: Any, self: Any, hidden_states: Any, *args: Any, **keywords: Any) -> Any:
    del forward, args, keywords
    value, gate = self.proj(hidden_states).chunk(2, dim=-1)
    return functional.gelu(value) * gate


def _rows_and_columns_swapped(prepare_ids: Any, *args: Any, **keywords: Any) -> Any:
    ids = prepare_ids(*args, **keywords).clone()
    ids[:, 1:] = ids[:, 1:].flip(1)
    return ids


def _residual_halved(forward: Any, *args: Any, **keywords: Any) -> Any:
    return forward(*args, **keywords) / 2


def _units_confused(forward: Any, *args: Any, timestep: Any, **keywords: Any) -> Any:
    return forward(*args, timestep=timestep / 1000, **keywords)


FAULTS: tuple[InjectedFault, ...] = (
    InjectedFault(
        name="skip-connection-dropped",
        imitates="an up block gets zeros instead of its last skip connection",
        inject=lambda _pipeline: wrapped(CrossAttnUpBlock2D, "forward", _last_skip_zero),
    ),
    InjectedFault(
        name="skip-connections-mirrored",
        imitates="a padding fix mirrors the skip connections horizontally",
        inject=lambda pipeline: wrapped(pipeline.unet.up_blocks[1], "forward", _skips_of_one_side),
    ),
    InjectedFault(
        name="time-embedding-stale",
        imitates="the time embedding is cached by shape and dtype: every step uses the first step's",
        inject=lambda _pipeline: wrapped(UNet2DConditionModel, "get_time_embed", _kept_from_the_first_step()),
    ),
    InjectedFault(
        name="timestep-in-bfloat16",
        imitates="the timestep is rounded to bfloat16 before it is embedded: 751 becomes 752",
        precedent="huggingface/diffusers#9405",
        inject=lambda _pipeline: wrapped(UNet2DConditionModel, "get_time_embed", _timestep_rounded),
    ),
    InjectedFault(
        name="sine-and-cosine-swapped",
        imitates="flip_sin_to_cos is lost when a checkpoint is converted",
        inject=lambda pipeline: replaced(pipeline.unet.time_proj, "flip_sin_to_cos", new_value=False),
    ),
    InjectedFault(
        name="size-conditions-swapped",
        imitates="SDXL gets the crop instead of the original size",
        inject=lambda _pipeline: wrapped(StableDiffusionXLPipeline, "_get_add_time_ids", _sizes_in_another_order),
    ),
    InjectedFault(
        name="pooled-text-dropped",
        imitates="the pooled embedding of the second text encoder is zero",
        inject=lambda pipeline: wrapped(pipeline.unet, "forward", _without_pooled_text),
    ),
    InjectedFault(
        name="nan-in-one-channel",
        imitates="one channel of the predicted noise is NaN",
        inject=lambda pipeline: wrapped(pipeline.unet.conv_out, "forward", _one_channel_nan),
    ),
    InjectedFault(
        name="group-norm-of-a-padded-block",
        imitates="group norm counts the padding where a group has 3 or 5 channels",
        precedent="flagos-ai/FlagGems#4984",
        inject=lambda _pipeline: wrapped(functional, "group_norm", _statistics_of_a_padded_block),
    ),
    InjectedFault(
        name="gate-and-value-swapped",
        imitates="GEGLU gates with the half that contains the values",
        inject=lambda _pipeline: wrapped(GEGLU, "forward", _gate_in_the_values_place),
    ),
    InjectedFault(
        name="middle-block-halved",
        imitates="output_scale_factor is applied twice in one block",
        inject=lambda pipeline: wrapped(pipeline.unet.mid_block, "forward", _residual_halved),
    ),
    InjectedFault(
        name="rotary-positions-transposed",
        imitates="rows and columns are swapped in FLUX's rotary embedding",
        pipeline="flux",
        inject=lambda _pipeline: wrapped(FluxPipeline, "_prepare_latent_image_ids", _rows_and_columns_swapped),
    ),
    InjectedFault(
        name="timestep-divided-twice",
        imitates="the transformer's timestep is divided by 1000 twice",
        pipeline="sd3",
        inject=lambda pipeline: wrapped(pipeline.transformer, "forward", _units_confused),
    ),
)
