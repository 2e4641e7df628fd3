"""Attention as CUDA runs it: one fused kernel where one supports the inputs, else separate operations."""

from typing import Any

import torch
from torch.nn import functional

from pytest_diffopt._torch_private.attention_kernels import attention_operation
from pytest_diffopt.simulated_gpu.cost.gpus import GPUModel
from pytest_diffopt.simulated_gpu.cuda.attention_choice import ALIGNMENT, Attention, choose
from pytest_diffopt.simulated_gpu.observations import AttentionChoice, AttentionKernel


class AttentionRunner:
    """Runs attention for one GPU, and counts which kernels were chosen."""

    def __init__(self, gpu_model: GPUModel) -> None:
        self._gpu = gpu_model
        self._counts: dict[tuple[Any, ...], int] = {}

    @property
    def choices(self) -> tuple[AttentionChoice, ...]:
        """The chosen kernels, in order of first use."""
        fields = ("kernel", "query_shape", "key_shape", "dtype", "has_mask", "reason")
        counts = self._counts.items()
        return tuple(AttentionChoice(**dict(zip(fields, key, strict=True)), count=count) for key, count in counts)

    def __call__(self, *args: Any, **kwargs: Any) -> torch.Tensor:
        """Run `scaled_dot_product_attention`; the arguments are torch's."""
        call = _bind(*args, **kwargs)
        kernel, reason = choose(call, self._gpu)
        shapes = tuple(call.query.shape), tuple(call.key.shape)
        record = (kernel, *shapes, str(call.query.dtype).removeprefix("torch."), call.mask is not None, reason)
        self._counts[record] = self._counts.get(record, 0) + 1
        return _RUN[kernel](call)


def _bind(  # noqa: PLR0913, PLR0917 - torch's own signature
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attn_mask: torch.Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,  # noqa: FBT001, FBT002
    *,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Attention:
    return Attention(
        query=query,
        key=key,
        value=value,
        mask=attn_mask,
        dropout_p=dropout_p,
        is_causal=is_causal,
        scale=scale,
        enable_gqa=enable_gqa,
    )


def _run_math(call: Attention) -> torch.Tensor:
    run = attention_operation("math")
    mask = _as_bias(call)
    arguments = (*call.tensors, mask, call.dropout_p, call.is_causal, None)
    return run(*arguments, scale=call.scale, enable_gqa=call.enable_gqa)[0]  # type: ignore[no-any-return]


def _run_flash(call: Attention) -> torch.Tensor:
    run = attention_operation("flash_attention")
    width = call.query.shape[-1]
    scale = call.scale if call.scale is not None else width**-0.5
    missing = -width % ALIGNMENT
    tensors = [functional.pad(one, (0, missing)) for one in call.tensors] if missing else call.tensors
    out: torch.Tensor = run(*tensors, call.dropout_p, call.is_causal, scale=scale)[0]
    return out[..., :width] if missing else out


def _run_efficient(call: Attention) -> torch.Tensor:
    run = attention_operation("efficient_attention")
    bias, statistics = _expanded(_aligned(_as_bias(call)), call), call.needs_statistics
    return run(*call.tensors, bias, statistics, call.dropout_p, call.is_causal, scale=call.scale)[0]  # type: ignore[no-any-return]


def _run_cudnn(call: Attention) -> torch.Tensor:
    run = attention_operation("cudnn_attention")
    bias, statistics = _expanded(_as_bias(call), call), call.needs_statistics
    return run(*call.tensors, bias, statistics, call.dropout_p, call.is_causal, scale=call.scale)[0]  # type: ignore[no-any-return]


_RUN = {
    AttentionKernel.MATH: _run_math,
    AttentionKernel.FLASH: _run_flash,
    AttentionKernel.EFFICIENT: _run_efficient,
    AttentionKernel.CUDNN: _run_cudnn,
}


def _as_bias(call: Attention) -> torch.Tensor | None:
    """Convert a boolean mask to a bias that is added to the scores: `convert_boolean_attn_mask`."""
    mask = call.mask
    if mask is None or mask.dtype != torch.bool:
        return mask
    zero = torch.scalar_tensor(0.0, dtype=call.query.dtype, device=mask.device)
    forbidden = torch.scalar_tensor(-torch.inf, dtype=call.query.dtype, device=mask.device)
    return torch.where(mask, zero, forbidden)


def _aligned(bias: torch.Tensor | None) -> torch.Tensor | None:
    """Copy a bias for the memory-efficient kernel: its rows start at multiples of 8 elements (`preprocess_mask`)."""
    length = bias.shape[-1] if bias is not None else 0
    if bias is None or not length % ALIGNMENT:
        return bias
    return functional.pad(bias, (0, -length % ALIGNMENT))[..., :length]


def _expanded(bias: torch.Tensor | None, call: Attention) -> torch.Tensor | None:
    if bias is None:
        return None
    batch, heads, queries, _ = call.query.shape
    return bias.expand(batch, heads, queries, call.key.shape[-2])


def _on_host(operands: dict[str, Any]) -> tuple[torch.Tensor | None, ...]:
    """Compute the output of a fused kernel on the CPU; its other results exist only on CUDA and are None."""
    query, key = operands["query"], operands["key"]
    out = functional.scaled_dot_product_attention(
        query,
        key,
        operands["value"],
        operands.get("attn_bias"),
        operands["dropout_p"],
        operands["is_causal"],
        scale=operands["scale"],
        enable_gqa=query.shape[1] != key.shape[1],
    )
    return (out, *[None] * (_MOST_RESULTS - 1))


_MOST_RESULTS = 9  # the flash kernel's
ON_HOST = {f"aten._scaled_dot_product_{kernel}_attention": _on_host for kernel in ("flash", "efficient", "cudnn")}
