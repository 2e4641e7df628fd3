"""Torch's formulas for the floating-point operations of matrix products, convolutions and attention."""

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch._ops import OpOverload
from torch.utils.flop_counter import flop_registry

# The start of the names of attention's kernels.
_ATTENTION = "_scaled_dot_product_"


class Flops(NamedTuple):
    """The floating-point operations of one call; a multiply-add is two.

    Attributes:
        counted: by torch's formula, which `FlopCounterMode` uses as well.
        least: those that no kernel can leave out: of causal attention only the scores that are not masked.
    """

    counted: int
    least: int


def has_flops(overload: OpOverload) -> bool:
    """Return whether torch has a FLOP formula for an operation."""
    return _formula(overload) is not None


def flops_of(overload: OpOverload, args: Sequence[Any], kwargs: Mapping[str, Any], result: Any) -> Flops:
    """Return the FLOPs of one call; 0 for an operation without a formula. A tensor may be given by its shape."""
    shapes = tuple((name, _shape(one)) for name, one in kwargs.items())
    return _flops(overload, tuple(map(_shape, args)), shapes, _shape(result))


# Evaluating a formula takes longer than a tiny product, and the same shapes recur.
@functools.lru_cache(maxsize=100_000)
def _flops(overload: OpOverload, args: tuple[Any, ...], kwargs: tuple[tuple[str, Any], ...], result: Any) -> Flops:
    formula = _formula(overload)
    counted = int(formula(*args, **dict(kwargs), out_shape=result)) if formula else 0
    return Flops(counted, _without_masked(counted, overload, args, kwargs) if counted else 0)


def _without_masked(
    flops: int, overload: OpOverload, args: tuple[Any, ...], kwargs: tuple[tuple[str, Any], ...]
) -> int:
    """Return the FLOPs of attention without the scores above the diagonal, which causal kernels leave out."""
    names = [argument.name for argument in overload._schema.arguments]
    operands = dict(zip(names, args, strict=False)) | dict(kwargs)
    if not (overload.overloadpacket.__name__.startswith(_ATTENTION) and operands.get("is_causal")):
        return flops
    queries, keys = operands["query"][-2], operands["key"][-2]
    on_diagonal = min(queries, keys)
    unmasked = on_diagonal * (on_diagonal + 1) // 2 + (queries - on_diagonal) * keys
    return int(flops * unmasked // (queries * keys))


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
