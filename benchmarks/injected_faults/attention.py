"""Attention faults: in the fused processor, in masks, and in the choice of the processor."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import torch
from diffusers.models.attention_processor import AttnProcessor, AttnProcessor2_0, FusedAttnProcessor2_0

from benchmarks.injected_faults.declaring import InjectedFault, Injection, attending, wrapped

_UNWRITTEN_ROWS = 16


def _in_fused_attention(change: Callable[..., Any]) -> Injection:
    """Replace attention in the fused processor by `change(attend, query, key, value, **keywords)`."""

    def inject(_pipeline: Any) -> AbstractContextManager[Any]:
        return wrapped(FusedAttnProcessor2_0, "__call__", attending(change))

    return inject


def _unscaled(attend: Any, query: Any, key: Any, value: Any, **keywords: Any) -> Any:
    return attend(query, key, value, **keywords | {"scale": 1.0})


def _scaled_by_the_whole_width(attend: Any, query: Any, key: Any, value: Any, **keywords: Any) -> Any:
    return attend(query, key, value, **keywords | {"scale": (query.shape[1] * query.shape[3]) ** -0.5})


def _query_and_key_swapped(attend: Any, query: Any, key: Any, value: Any, **keywords: Any) -> Any:
    is_self = query.shape == key.shape
    return attend(key, query, value, **keywords) if is_self else attend(query, key, value, **keywords)


def _key_and_value_swapped(attend: Any, query: Any, key: Any, value: Any, **keywords: Any) -> Any:
    is_self = query.shape == key.shape
    return attend(query, key, value, **keywords) if is_self else attend(query, value, key, **keywords)


def _heads_reversed(attend: Any, *args: Any, **keywords: Any) -> Any:
    return attend(*args, **keywords).flip(1)


def _heads_and_tokens_confused(attend: Any, *args: Any, **keywords: Any) -> Any:
    attended = attend(*args, **keywords)
    return attended.transpose(1, 2).reshape(attended.shape)


def _causal(attend: Any, *args: Any, **keywords: Any) -> Any:
    return attend(*args, **keywords | {"is_causal": True})


def _last_rows_unwritten(attend: Any, *args: Any, **keywords: Any) -> Any:
    attended = attend(*args, **keywords).clone()
    attended[:, :, -_UNWRITTEN_ROWS:] = 0
    return attended


def _one_head_missing(attend: Any, *args: Any, **keywords: Any) -> Any:
    attended = attend(*args, **keywords).clone()
    attended[:, -1] = 0
    return attended


def _without_mask(forward: Any, *args: Any, **keywords: Any) -> Any:
    return forward(*args, **keywords | {"encoder_attention_mask": None})


@contextmanager
def _processed_by(module: Any, processor: Any) -> Iterator[None]:
    before = dict(module.attn_processors)
    module.set_attn_processor(processor)
    try:
        yield
    finally:
        module.set_attn_processor(before)


def _in_float16(attend: Any, query: Any, key: Any, value: Any, **keywords: Any) -> Any:
    """Multiply in float16 before scaling, as kernels for smaller activations did."""
    magnified = [(tensor.float() * 64).to(torch.float16) for tensor in (query, key)]
    scores = (magnified[0].float() @ magnified[1].float().transpose(-1, -2)).to(torch.float16).float()
    del attend, keywords
    return ((scores / 64**2 * query.shape[3] ** -0.5).softmax(-1) @ value.float()).to(value.dtype)


FAULTS: tuple[InjectedFault, ...] = (
    InjectedFault(
        name="attention-scale-lost",
        imitates="the fused processor multiplies Q and K without 1/sqrt(d)",
        inject=_in_fused_attention(_unscaled),
    ),
    InjectedFault(
        name="attention-scale-of-the-whole-width",
        imitates="the scale of Q K uses the width of all heads instead of one head",
        precedent="huggingface/diffusers#4154 (a wrong inner_dim)",
        inject=_in_fused_attention(_scaled_by_the_whole_width),
    ),
    InjectedFault(
        name="query-and-key-swapped",
        imitates="the fused projection is split as K, Q, V",
        precedent="microsoft/onnxruntime#13050 (the size of Q in K's place)",
        inject=_in_fused_attention(_query_and_key_swapped),
    ),
    InjectedFault(
        name="key-and-value-swapped",
        imitates="the fused projection of cross-attention is split as V, K",
        inject=_in_fused_attention(_key_and_value_swapped),
    ),
    InjectedFault(
        name="heads-reversed",
        imitates="heads are concatenated in a different order than to_out expects",
        inject=_in_fused_attention(_heads_reversed),
    ),
    InjectedFault(
        name="heads-and-tokens-confused",
        imitates="view() instead of transpose(): heads and tokens are mixed",
        inject=_in_fused_attention(_heads_and_tokens_confused),
    ),
    InjectedFault(
        name="one-head-missing",
        imitates="a loop over heads omits the last head",
        inject=_in_fused_attention(_one_head_missing),
    ),
    InjectedFault(
        name="attention-made-causal",
        imitates="is_causal=True is passed to attention over an image",
        inject=_in_fused_attention(_causal),
    ),
    InjectedFault(
        name="attention-tail-unwritten",
        imitates="a kernel does not write the last block of query rows",
        inject=_in_fused_attention(_last_rows_unwritten),
    ),
    InjectedFault(
        name="attention-overflows-float16",
        imitates="Q K overflows float16 before it is scaled",
        inject=_in_fused_attention(_in_float16),
    ),
    InjectedFault(
        name="text-mask-dropped",
        imitates="the prompt's padding mask is not passed to cross-attention",
        pipeline="pixart-alpha",
        recipe="fp32 + sdpa",  # image_baseline refuses the tiny pipeline's bfloat16 images: they have only two values
        inject=lambda pipeline: wrapped(pipeline.transformer, "forward", _without_mask),
    ),
    InjectedFault(
        name="vae-with-another-processor",
        imitates="the VAE uses vanilla attention although the recipe requests SDPA",
        inject=lambda pipeline: _processed_by(pipeline.vae, AttnProcessor()),
    ),
    InjectedFault(
        name="fused-projections-unused",
        imitates="processors are set again after fusing, so the fused weights are unused",
        inject=lambda pipeline: _processed_by(pipeline.unet, AttnProcessor2_0()),
    ),
)
