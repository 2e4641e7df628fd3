"""Bugs of attention: in the fused processor, in the masks, in which processor is used at all."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import torch
from diffusers.models.attention_processor import AttnProcessor, AttnProcessor2_0, FusedAttnProcessor2_0

from benchmarks.injected_faults.declaring import InjectedFault, Injection, attending, wrapped

_UNWRITTEN_ROWS = 16


def _in_fused_attention(change: Callable[..., Any]) -> Injection:
    """Let `change(attend, query, key, value, **keywords)` answer wherever the fused processor attends."""

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
    """Multiply before scaling, in float16, as kernels did that were written for smaller activations."""
    magnified = [(tensor.float() * 64).to(torch.float16) for tensor in (query, key)]
    scores = (magnified[0].float() @ magnified[1].float().transpose(-1, -2)).to(torch.float16).float()
    del attend, keywords
    return ((scores / 64**2 * query.shape[3] ** -0.5).softmax(-1) @ value.float()).to(value.dtype)


BUGS: tuple[InjectedFault, ...] = (
    InjectedFault(
        name="attention-scale-lost",
        imitates="the fused processor multiplies Q and K without 1/sqrt(d)",
        inject=_in_fused_attention(_unscaled),
    ),
    InjectedFault(
        name="attention-scale-of-the-whole-width",
        imitates="Q K is scaled by the width of all heads together, not of one",
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
        imitates="the heads are joined in another order than to_out expects",
        inject=_in_fused_attention(_heads_reversed),
    ),
    InjectedFault(
        name="heads-and-tokens-confused",
        imitates="view() where transpose() was meant: heads and tokens are mixed",
        inject=_in_fused_attention(_heads_and_tokens_confused),
    ),
    InjectedFault(
        name="one-head-missing",
        imitates="a loop over heads that ends one too early",
        inject=_in_fused_attention(_one_head_missing),
    ),
    InjectedFault(
        name="attention-made-causal",
        imitates="is_causal=True reaches attention over an image",
        inject=_in_fused_attention(_causal),
    ),
    InjectedFault(
        name="attention-tail-unwritten",
        imitates="a kernel leaves the last block of query rows at zero",
        inject=_in_fused_attention(_last_rows_unwritten),
    ),
    InjectedFault(
        name="attention-overflows-float16",
        imitates="Q K leaves float16's range before it is scaled",
        inject=_in_fused_attention(_in_float16),
    ),
    InjectedFault(
        name="text-mask-dropped",
        imitates="the mask of the prompt's padding never reaches cross-attention",
        pipeline="pixart-alpha",
        recipe="fp32 + sdpa",  # in bfloat16 its tiny weights are two-valued, and image_baseline refuses them
        inject=lambda pipeline: wrapped(pipeline.transformer, "forward", _without_mask),
    ),
    InjectedFault(
        name="vae-with-another-processor",
        imitates="the VAE runs vanilla attention although the recipe says SDPA",
        inject=lambda pipeline: _processed_by(pipeline.vae, AttnProcessor()),
    ),
    InjectedFault(
        name="fused-projections-unused",
        imitates="processors are set again after fusing, and the fused weights lie idle",
        inject=lambda pipeline: _processed_by(pipeline.unet, AttnProcessor2_0()),
    ),
)
