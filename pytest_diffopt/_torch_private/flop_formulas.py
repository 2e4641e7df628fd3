"""Torch's formulas for the floating-point operations of matrix products, convolutions and attention."""

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch._ops import OpOverload
from torch.utils.flop_counter import flop_registry


def has_flops(overload: OpOverload) -> bool:
    """Return whether torch has a FLOP formula for an operation."""
    return _formula(overload) is not None


def flops_of(overload: OpOverload, args: Sequence[Any], kwargs: Mapping[str, Any], result: Any) -> int:
    """Return the FLOPs of one call, by torch's formula; 0 for an operation without one."""
    shapes = tuple((name, _shape(one)) for name, one in kwargs.items())
    return _flops(overload, tuple(map(_shape, args)), shapes, _shape(result))


# Evaluating a formula takes longer than a tiny product, and the same shapes recur.
@functools.lru_cache(maxsize=100_000)
def _flops(overload: OpOverload, args: tuple[Any, ...], kwargs: tuple[tuple[str, Any], ...], result: Any) -> int:
    formula = _formula(overload)
    return int(formula(*args, **dict(kwargs), out_shape=result)) if formula else 0


@functools.cache
def _formula(overload: OpOverload) -> Callable[..., int] | None:
    packet = overload.overloadpacket
    formula = flop_registry.get(torch.ops.aten.mm if packet is torch.ops.aten._int_mm else packet)
    return inspect.unwrap(formula) if formula is not None else None  # unwrapped, a formula takes shapes


def _shape(value: Any) -> Any:
    """Replace a tensor by its shape and a list by a tuple."""
    if isinstance(value, torch.Tensor):
        return value.shape
    return tuple(map(_shape, value)) if isinstance(value, tuple | list) else value
