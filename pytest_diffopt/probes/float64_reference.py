"""The same call in float64: how far compiled and eager outputs are from what exact arithmetic returns."""

import copy
from collections.abc import Callable
from types import MethodType
from typing import Any

import torch
from torch import nn
from torch.utils._python_dispatch import is_traceable_wrapper_subclass

from pytest_diffopt.records import Float64Errors

_Call = Callable[..., Any]
# A module up to this size is copied in float64 in milliseconds.
_MAX_PARAMETERS = 1_000_000
# float32 code may compute parts of a reference in float32 itself, so a few units are within its own error.
_FLOORS = {torch.float32: 8.0}


def in_float64(eager: _Call) -> _Call | None:
    """Return the eager call of a small module or of a function in float64; None where there is no such call."""
    owner = eager if isinstance(eager, nn.Module) else getattr(eager, "__self__", None)
    if owner is None:
        return _with_doubles(eager)
    if not isinstance(owner, nn.Module) or not _is_small(owner):
        return None
    try:
        double = copy.deepcopy(owner).double()
    except Exception:  # noqa: BLE001 - a module that cannot be copied has no reference
        return None
    function = getattr(eager, "__func__", None)
    return _with_doubles(double if function is None else MethodType(function, double))


def errors_against(exact: torch.Tensor, compiled: torch.Tensor, eager: torch.Tensor) -> Float64Errors | None:
    """Return the errors of one output; None if it cannot be judged: another shape, no floats, or infinite values."""
    if not (exact.shape == compiled.shape == eager.shape and exact.dtype is torch.float64 and exact.numel()):
        return None
    if not (eager.is_floating_point() and all(bool(one.isfinite().all()) for one in (exact, compiled, eager))):
        return None
    ours, theirs = compiled.double() - exact, eager.double() - exact
    unit = torch.finfo(eager.dtype).eps * _FLOORS.get(eager.dtype, 1.0)
    return Float64Errors(
        compiled=_rms(ours),
        eager=_rms(theirs),
        allowed=2 * _rms(theirs) + unit * _rms(exact),
        is_as_exact=bool(_rms(ours) <= _rms(theirs) and ours.abs().max() <= theirs.abs().max()),
    )


def _is_small(module: nn.Module) -> bool:
    tensors = [*module.parameters(), *module.buffers()]
    is_plain = not any(map(is_traceable_wrapper_subclass, tensors)) and not any(one.is_quantized for one in tensors)
    return is_plain and sum(one.numel() for one in tensors) <= _MAX_PARAMETERS


def _with_doubles(function: _Call) -> _Call:
    def call(*args: Any, **kwargs: Any) -> Any:
        with torch.no_grad():
            return function(*_doubled(args), **_doubled(kwargs))

    return call


def _doubled(value: Any) -> Any:
    if isinstance(value, torch.Tensor):
        return value.detach().double() if value.is_floating_point() else value.clone()
    if type(value) is dict:
        return {key: _doubled(child) for key, child in value.items()}
    return type(value)(map(_doubled, value)) if type(value) in {list, tuple} else value


def _rms(values: torch.Tensor) -> float:
    return float(values.detach().square().mean().sqrt())
