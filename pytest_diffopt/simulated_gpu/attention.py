"""Attention as CUDA runs it: one fused kernel where one fits, and the plain arithmetic only where none does.

The order and the conditions are those of `sdp_utils.cpp` (PyTorch 2.13, `select_sdp_backend`), for dense tensors.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from .cards import Card
from .dispatch import HANDLERS, Dispatcher
from .operations import Operation, operation
from .records import AttentionChoice, AttentionKernel
from .shapes import describe, infer
from .tensor import Metadata, SimulatedTensor

_aten = torch.ops.aten
_HALVES = (torch.float16, torch.bfloat16)
_AMPERE, _TURING, _VOLTA = (8, 0), (7, 5), (7, 0)
_FLASH_LARGEST_HEAD = 256
_DIMENSIONS = 4
_SEED = Metadata.of((), (), 0, torch.int64)


@dataclass(frozen=True, kw_only=True, slots=True)
class Attention:
    """One call of `scaled_dot_product_attention`."""

    query: torch.Tensor
    key: torch.Tensor
    value: torch.Tensor
    mask: torch.Tensor | None
    dropout_p: float
    is_causal: bool
    scale: float | None
    enable_gqa: bool


def why_not_flash(call: Attention, capability: tuple[int, int]) -> str:
    """Say what keeps CUDA from the flash kernel; nothing if nothing does."""
    reasons = (
        (not torch.backends.cuda.flash_sdp_enabled(), "flash is switched off"),
        (capability < _AMPERE, f"flash needs compute capability 8.0, this card has {capability[0]}.{capability[1]}"),
        (call.query.dtype not in _HALVES, f"flash takes float16 and bfloat16, not {_name(call.query.dtype)}"),
        (call.mask is not None, "flash takes no mask"),
        (call.query.shape[-1] != call.value.shape[-1], "flash needs query and value of one head dimension"),
        (
            call.query.shape[-1] > _FLASH_LARGEST_HEAD,
            f"flash takes head dimensions up to {_FLASH_LARGEST_HEAD}, not {call.query.shape[-1]}",
        ),
        (_differs_in_heads(call) and not call.enable_gqa, "flash needs as many key heads as query heads"),
    )
    return _first(reasons) or _not_for_any_fused_kernel(call)


def why_not_efficient(call: Attention, capability: tuple[int, int]) -> str:
    """Say what keeps CUDA from the memory-efficient kernel; nothing if nothing does."""
    dtypes = (*_HALVES, torch.float32) if capability >= _AMPERE else (torch.float16, torch.float32)
    alignment = 16 // call.query.dtype.itemsize if call.query.dtype in _HALVES else 4
    reasons = (
        (not torch.backends.cuda.mem_efficient_sdp_enabled(), "efficient is switched off"),
        (
            call.query.dtype not in dtypes,
            f"efficient takes {', '.join(map(_name, dtypes))}, not {_name(call.query.dtype)}",
        ),
        (
            any(one.shape[-1] % alignment for one in (call.query, call.value)),
            f"efficient needs head dimensions that are multiples of {alignment}",
        ),
        (_differs_in_heads(call), "efficient needs as many key heads as query heads"),
    )
    return _first(reasons) or _not_for_any_fused_kernel(call)


def _not_for_any_fused_kernel(call: Attention) -> str:
    tensors = (call.query, call.key, call.value)
    reasons = (
        (any(one.dim() != _DIMENSIONS for one in tensors), "fused kernels need 4 dimensions"),
        (len({one.dtype for one in tensors}) > 1, "fused kernels need query, key and value of one dtype"),
        (any(not one.shape[-1] or not one.shape[-2] for one in tensors), "fused kernels take no empty tensors"),
        (any(one.stride(-1) != 1 for one in tensors), "fused kernels need a head dimension without gaps"),
        (len({one.shape[0] for one in tensors}) > 1, "fused kernels do not broadcast over the batch"),
    )
    return _first(reasons)


def _first(reasons: tuple[tuple[bool, str], ...]) -> str:
    return next((reason for applies, reason in reasons if applies), "")


def _differs_in_heads(call: Attention) -> bool:
    return call.query.dim() > 1 and call.query.shape[-3:-2] != call.key.shape[-3:-2]


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def choose(call: Attention, card: Card) -> tuple[AttentionKernel, str]:
    """Return the kernel that CUDA would run, and why no earlier one in its order."""
    no_flash = why_not_flash(call, card.capability)
    if not no_flash:
        return AttentionKernel.FLASH, ""
    no_efficient = why_not_efficient(call, card.capability)
    if not no_efficient:
        return AttentionKernel.EFFICIENT, no_flash
    if not torch.backends.cuda.math_sdp_enabled():
        message = f"No available kernel. Aborting execution. ({no_flash}; {no_efficient}; math is switched off)"
        raise RuntimeError(message)
    return AttentionKernel.MATH, f"{no_flash}; {no_efficient}"


class AttentionRunner:
    """Carries attention out for one card, and remembers what was chosen."""

    def __init__(self, card: Card) -> None:
        self._card = card
        self._counts: dict[tuple[Any, ...], int] = {}

    @property
    def choices(self) -> tuple[AttentionChoice, ...]:
        """What was chosen, in order of first appearance."""
        fields = ("kernel", "query_shape", "key_shape", "dtype", "has_mask", "reason")
        return tuple(
            AttentionChoice(**dict(zip(fields, key, strict=True)), count=count) for key, count in self._counts.items()
        )

    def kernel_of(self, operands: Mapping[str, Any]) -> AttentionKernel:
        """Return the kernel that was chosen for the operands of the fused operation."""
        call = Attention(
            query=operands["query"],
            key=operands["key"],
            value=operands["value"],
            mask=operands["attn_bias"],
            dropout_p=operands["dropout_p"],
            is_causal=operands["is_causal"],
            scale=operands["scale"],
            enable_gqa=True,
        )
        return choose(call, self._card)[0]

    def __call__(
        self,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        attn_mask: torch.Tensor | None = None,
        dropout_p: float = 0.0,
        is_causal: bool = False,  # noqa: FBT001, FBT002 - torch's own signature
        *,
        scale: float | None = None,
        enable_gqa: bool = False,
    ) -> torch.Tensor:
        """Carry out `scaled_dot_product_attention`."""
        call = Attention(
            query=query,
            key=key,
            value=value,
            mask=attn_mask,
            dropout_p=dropout_p,
            is_causal=is_causal,
            scale=scale,
            enable_gqa=enable_gqa,
        )
        kernel, reason = choose(call, self._card)
        record = (
            kernel, tuple(query.shape), tuple(key.shape), _name(query.dtype), attn_mask is not None, reason,
        )  # fmt: skip
        self._counts[record] = self._counts.get(record, 0) + 1
        if kernel is AttentionKernel.MATH:
            out: torch.Tensor = _aten._scaled_dot_product_attention_math.default(
                query, key, value, attn_mask, dropout_p, is_causal, None, scale=scale, enable_gqa=enable_gqa
            )[0]
            return out
        mask = _as_bias(attn_mask, query.dtype)
        fused = _aten._scaled_dot_product_fused_attention_overrideable.default(
            query, key, value, mask, dropout_p, is_causal, False, scale=scale
        )
        return fused[0]  # type: ignore[no-any-return]


def _as_bias(mask: torch.Tensor | None, dtype: torch.dtype) -> torch.Tensor | None:
    """Turn a mask of truth values into what is added to the scores: `convert_boolean_attn_mask`."""
    if mask is None or mask.dtype != torch.bool:
        return mask
    zero = torch.scalar_tensor(0.0, dtype=dtype, device=mask.device)
    forbidden = torch.scalar_tensor(-torch.inf, dtype=dtype, device=mask.device)
    return torch.where(mask, zero, forbidden)


def _fused(dispatcher: Dispatcher, facts: Operation, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """Carry out the fused kernel: its own results, FLOPs and memory; the values as the CPU computes them."""
    call = facts.bind(args, kwargs)
    query, key, value, mask = call["query"], call["key"], call["value"], call["attn_bias"]
    if dispatcher.attention.kernel_of(call) is AttentionKernel.FLASH:
        stands_for = operation(_aten._scaled_dot_product_flash_attention.default)
        its_args: tuple[Any, ...] = (query, key, value, call["dropout_p"], call["is_causal"])
    else:
        stands_for = operation(_aten._scaled_dot_product_efficient_attention.default)
        its_args = (query, key, value, mask, False, call["dropout_p"], call["is_causal"])
    return _run_as(dispatcher, stands_for, its_args, call)


def _run_as(dispatcher: Dispatcher, facts: Operation, args: tuple[Any, ...], call: Mapping[str, Any]) -> Any:
    shape_key: list[Any] = [facts.overload]
    tensors: list[torch.Tensor] = []
    describe(args, shape_key, tensors)
    inference = infer(facts, tuple(shape_key), args, {})
    assert inference is not None  # noqa: S101 - torch has rules for its own kernels
    cell = dispatcher.ledger.cell()
    cell.operations += 1
    cell.flops += inference.flops
    host = None
    tensors_of_ours = [one for one in tensors if isinstance(one, SimulatedTensor)]
    if all(one.has_data for one in tensors_of_ours) and inference.results[0].numel <= dispatcher.real_up_to:
        query, key, value, mask = (
            one.host_data if isinstance(one, SimulatedTensor) else one
            for one in (call["query"], call["key"], call["value"], call["attn_bias"])
        )
        host = torch.nn.functional.scaled_dot_product_attention(
            query, key, value, mask, call["dropout_p"], call["is_causal"], scale=call["scale"],
            enable_gqa=query.shape[1] != key.shape[1],
        )  # fmt: skip
    out = dispatcher.new(inference.results[0], host)
    statistics = dispatcher.new(inference.results[1], None)
    seed, offset = (dispatcher.new(_SEED, None) for _ in range(2))
    return out, statistics, None, None, query_length(call["query"]), query_length(call["key"]), seed, offset, None


def query_length(tensor: torch.Tensor) -> int:
    """Return the length of a sequence of (batch, heads, length, head dimension)."""
    return tensor.shape[-2]


def _inference_mode(dispatcher: Dispatcher, facts: Operation, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """Carry out attention where torch does not take it apart before it gets here."""
    del facts
    return dispatcher.attention(*args, **kwargs)


HANDLERS["aten._scaled_dot_product_fused_attention_overrideable"] = _fused
HANDLERS["aten.scaled_dot_product_attention"] = _inference_mode
