"""The attention kernel that CUDA chooses, and the reasons against the others.

The order and the conditions are those of `native/transformers/cuda/sdp_utils.cpp` (PyTorch 2.13, `select_sdp_backend`)
for dense tensors. The flags and orders that a program sets with `torch.nn.attention.sdpa_kernel` are respected.
"""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch

from pytest_diffopt._torch_private.attention_kernels import attention_order, is_attention_enabled
from pytest_diffopt._torch_private.version_gate import torch_release
from pytest_diffopt.simulated_gpu.cost.gpus import GPUModel
from pytest_diffopt.simulated_gpu.observations import AttentionKernel

_HALVES = (torch.float16, torch.bfloat16)
_AMPERE, _HOPPER, _BLACKWELL = (8, 0), (9, 0), (10, 0)
_PREFER_CUDNN = (_HOPPER, _BLACKWELL)
_LARGE_HEADS_ON_BLACKWELL = (2, 14)  # the release of torch
_FLASH_LARGEST_HEAD = 256
_CUDNN_LARGEST_HEAD = 128
_CUDNN_LARGEST_HEAD_ON_DATA_CENTER = 256
ALIGNMENT = 8  # elements; other head dimensions and mask lengths are padded or not supported
_DIMENSIONS = 4

_FLASH = AttentionKernel.FLASH
_EFFICIENT = AttentionKernel.EFFICIENT
_CUDNN = AttentionKernel.CUDNN
_MATH = AttentionKernel.MATH


@dataclass(frozen=True, kw_only=True, slots=True)
class Attention:
    """One call of `scaled_dot_product_attention`: tensors of (batch, heads, length, head dimension)."""

    query: torch.Tensor
    key: torch.Tensor
    value: torch.Tensor
    mask: torch.Tensor | None
    dropout_p: float
    is_causal: bool
    scale: float | None
    enable_gqa: bool

    @property
    def tensors(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Query, key and value."""
        return self.query, self.key, self.value

    @property
    def needs_statistics(self) -> bool:
        """Whether a backward pass needs the logsumexp of the scores."""
        return torch.is_grad_enabled() and any(one.requires_grad for one in self.tensors)


def _dtype(call: Attention) -> str:
    return str(call.query.dtype).removeprefix("torch.")


def _why_not_fused(call: Attention) -> Iterator[str]:
    """Yield the reasons against every fused kernel."""
    if any(one.dim() != _DIMENSIONS for one in call.tensors):
        yield "fused kernels take 4 dimensions"
    if len({one.dtype for one in call.tensors}) > 1:
        yield "fused kernels take query, key and value of one dtype"
    if len({one.shape[0] for one in call.tensors}) > 1:
        yield "fused kernels do not broadcast over the batch"
    if any(not one.shape[-2] for one in call.tensors):
        yield "fused kernels take no sequences of length 0"
    operands = (*call.tensors, call.mask) if call.mask is not None else call.tensors
    if any(one.stride(-1) != 1 and one.shape[-1] != 1 for one in operands):
        yield "fused kernels take no gaps in the last dimension"


def _why_not_heads(call: Attention, *, takes_groups: bool) -> Iterator[str]:
    queries, *others = (one.shape[1] for one in call.tensors)
    if any(heads != queries for heads in others):
        if not (takes_groups and call.enable_gqa):
            yield "it takes as many key heads as query heads"
        elif any(queries % heads for heads in others):
            yield "query heads must be a multiple of key heads"


def _why_not_flash(call: Attention, capability: tuple[int, int]) -> Iterator[str]:
    width = call.query.shape[-1]
    if not is_attention_enabled("flash"):
        yield "it is switched off"
    if capability < _AMPERE:
        yield f"it needs compute capability 8.0, this GPU has {capability[0]}.{capability[1]}"
    if call.query.dtype not in _HALVES:
        yield f"it takes float16 and bfloat16, not {_dtype(call)}"
    if call.mask is not None:
        yield "it takes no mask"
    if any(one.shape[-1] != width for one in call.tensors) or width > _FLASH_LARGEST_HEAD:
        yield f"it takes one head dimension up to {_FLASH_LARGEST_HEAD}"
    if call.is_causal and call.query.shape[-2] != call.key.shape[-2]:
        yield "it takes causal attention only for sequences of one length"
    yield from _why_not_heads(call, takes_groups=True)


def _alignment(call: Attention, capability: tuple[int, int]) -> int:
    """Return what the head dimension must be a multiple of: `minimum_gemm_alignment`."""
    if call.query.dtype in _HALVES:
        return ALIGNMENT
    return ALIGNMENT // 2 if capability >= _AMPERE else 1


def _why_not_efficient(call: Attention, capability: tuple[int, int]) -> Iterator[str]:
    dtypes = (*_HALVES, torch.float32) if capability >= _AMPERE else (torch.float16, torch.float32)
    alignment = _alignment(call, capability)
    if not is_attention_enabled("mem_efficient"):
        yield "it is switched off"
    if call.query.dtype not in dtypes:
        yield f"it does not take {_dtype(call)} on this GPU"
    if call.query.shape[-1] != call.key.shape[-1] or any(one.shape[-1] % alignment for one in call.tensors):
        yield f"it takes head dimensions that are multiples of {alignment}"
    yield from _why_not_heads(call, takes_groups=False)


def _largest_head_in_cudnn(capability: tuple[int, int]) -> int:
    """Return the largest head dimension: `check_cudnn_tensor_shapes`; on capability 10.0 it grew with torch 2.14."""
    is_large = capability == _HOPPER or (capability == _BLACKWELL and torch_release() >= _LARGE_HEADS_ON_BLACKWELL)
    return _CUDNN_LARGEST_HEAD_ON_DATA_CENTER if is_large else _CUDNN_LARGEST_HEAD


def _why_not_cudnn(call: Attention, capability: tuple[int, int]) -> Iterator[str]:
    largest = _largest_head_in_cudnn(capability)
    if not is_attention_enabled("cudnn"):
        yield "it is switched off"
    if torch.are_deterministic_algorithms_enabled() and not torch.is_deterministic_algorithms_warn_only_enabled():
        yield "it is not deterministic"
    if capability < _AMPERE:
        yield f"it needs compute capability 8.0, this GPU has {capability[0]}.{capability[1]}"
    if call.query.dtype not in _HALVES:
        yield f"it takes float16 and bfloat16, not {_dtype(call)}"
    if any(one.shape[-1] % ALIGNMENT or one.shape[-1] > largest for one in call.tensors):
        yield f"it takes head dimensions that are multiples of {ALIGNMENT}, up to {largest}"
    if call.key.shape[-2] == 1:
        yield "it takes no single key"
    if call.query.shape[-2] == 1 and call.dropout_p:
        yield "it takes no single query with dropout"
    yield from _why_not_heads(call, takes_groups=True)


_WHY_NOT: dict[AttentionKernel, Callable[[Attention, tuple[int, int]], Iterator[str]]] = {
    _FLASH: _why_not_flash,
    _EFFICIENT: _why_not_efficient,
    _CUDNN: _why_not_cudnn,
}
_DEFAULT_ORDER = (_FLASH, _EFFICIENT, _MATH, _CUDNN)


def _order(gpu_model: GPUModel) -> tuple[AttentionKernel, ...]:
    """Return the order in which kernels are tried: the program's order, else torch's for this GPU."""
    by_number = {0: _MATH, 1: _FLASH, 2: _EFFICIENT, 3: _CUDNN}
    order = tuple(by_number[one] for one in attention_order() if one in by_number)
    is_deprioritized = os.environ.get("TORCH_CUDNN_SDPA_DEPRIORITIZED") == "1"
    # check_prefer_cudnn_attention: data-center Hopper and Blackwell, with the cuDNN that torch 2.13 ships.
    if order == _DEFAULT_ORDER and gpu_model.capability in _PREFER_CUDNN and not is_deprioritized:
        return _CUDNN, _FLASH, _EFFICIENT, _MATH
    return order


def choose(call: Attention, gpu_model: GPUModel) -> tuple[AttentionKernel, str]:
    """Return the kernel that CUDA would run, and the reasons against those tried before it.

    Raises:
        RuntimeError: no kernel is left; the message is torch's.
    """
    not_fused = next(_why_not_fused(call), "")
    refusals: list[str] = []
    for kernel in _order(gpu_model):
        if kernel is _MATH:
            why_not = "" if is_attention_enabled("math") else "it is switched off"
        else:
            why_not = not_fused or next(_WHY_NOT[kernel](call, gpu_model.capability), "")
        if not why_not:
            return kernel, "; ".join(refusals)
        refusals.append(f"{kernel.value}: {why_not}")
    message = f"No available kernel. Aborting execution. ({'; '.join(refusals)})"
    raise RuntimeError(message)
