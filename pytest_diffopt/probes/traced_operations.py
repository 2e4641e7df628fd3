"""Matrix products, convolutions, attention, softmax, copies and collectives of a call, with dtypes and layouts."""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode, is_traceable_wrapper_subclass_type

from pytest_diffopt._torch_private.overloads import schema_arguments
from pytest_diffopt.probes.call_position import CallPosition
from pytest_diffopt.probes.collectives import bytes_passed, is_collective
from pytest_diffopt.records import Layout, OperationKind, Operations

_NAMES = {
    "mm": OperationKind.MATMUL,
    "addmm": OperationKind.MATMUL,
    "bmm": OperationKind.MATMUL,
    "baddbmm": OperationKind.MATMUL,
    "linear": OperationKind.MATMUL,
    "_int_mm": OperationKind.MATMUL,
    "_scaled_mm": OperationKind.MATMUL,
    "mv": OperationKind.MATMUL,
    "addmv": OperationKind.MATMUL,
    "convolution": OperationKind.CONVOLUTION,
    "_softmax": OperationKind.SOFTMAX,
    "_safe_softmax": OperationKind.SOFTMAX,
    "_to_copy": OperationKind.COPY,
    "copy_": OperationKind.COPY,
}
_ATTENTION = ("attention", "flash_attn", "sageattn", "xformers")
_MATMUL_PARTS = ("_mm", "mm_")
_MASKS = frozenset({"attn_mask", "attn_bias", "mask"})
_IMAGE_DIMENSIONS = 4
_WORK = frozenset({OperationKind.MATMUL, OperationKind.CONVOLUTION, OperationKind.ATTENTION})


class OperationTrace(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch does not type it
    """Counts the operations in which a pipeline spends its time, while it is entered.

    Args:
        position: the position of the call.
    """

    def __init__(self, position: CallPosition) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._position = position
        self._counts: dict[tuple[Any, ...], list[int]] = {}

    def __torch_dispatch__(
        self, func: Any, types: Sequence[type], args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Run an operation and count it."""
        if any(map(is_traceable_wrapper_subclass_type, types)):
            return NotImplemented  # a quantized weight: the operations of which it consists come next
        result = func(*args, **(kwargs or {}))
        kind = _kind_of(func)
        if kind is not None:
            self._note(kind, func, args, kwargs or {}, result)
        return result

    def operations(self) -> tuple[Operations, ...]:
        """Return what was counted so far."""
        return tuple(
            Operations(
                kind=kind,
                name=name,
                module=module,
                step=step,
                context=context,
                dtype=dtype,
                layout=layout,
                is_masked=is_masked,
                precision=precision,
                count=count,
                moved_bytes=moved,
            )
            for (kind, name, module, step, context, dtype, layout, is_masked, precision), (count, moved) in (
                self._counts.items()
            )
        )

    def _note(
        self, kind: OperationKind, func: Any, args: Sequence[Any], kwargs: Mapping[str, Any], result: Any
    ) -> None:
        moved = 0
        if kind is OperationKind.COLLECTIVE:
            moved = bytes_passed(func, args, kwargs)
        elif kind is OperationKind.COPY:
            moved = _bytes_to_device(args, result)
            if not moved:
                return
        position = self._position
        if kind in _WORK and position.frames:
            position.frames[-1].ran_work = True
        first = next((one for one in args if isinstance(one, torch.Tensor)), None)
        key = (
            kind,
            func.name(),
            position.module,
            position.step,
            position.context,
            "" if first is None else str(first.dtype).removeprefix("torch."),
            _layout(args, result) if kind is OperationKind.CONVOLUTION else Layout.EITHER,
            kind is OperationKind.ATTENTION and _has_mask(func, args, kwargs),
            _precision(kind, first),
        )
        counts = self._counts.setdefault(key, [0, 0])
        counts[0] += 1
        counts[1] += moved


@cache
def _kind_of(func: Any) -> OperationKind | None:
    if is_collective(func):
        return OperationKind.COLLECTIVE
    name = func.name().partition("::")[2].partition(".")[0]
    if name in _NAMES:
        return _NAMES[name]
    if any(part in func.name() for part in _ATTENTION):
        return None if "backward" in name else OperationKind.ATTENTION
    if "convolution" in name:
        return OperationKind.CONVOLUTION
    is_matmul = any(part in f"{name}_" for part in _MATMUL_PARTS)
    return OperationKind.MATMUL if is_matmul else None


@cache
def _mask_arguments(func: Any) -> tuple[tuple[int, str], ...]:
    return tuple((n, one.name) for n, one in enumerate(schema_arguments(func)) if one.name in _MASKS)


def _has_mask(func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> bool:
    given = (args[n] if n < len(args) else kwargs.get(name) for n, name in _mask_arguments(func))
    return any(isinstance(one, torch.Tensor) for one in given)


def _layout(args: Sequence[Any], result: Any) -> Layout:
    """Return the layout in which a convolution was computed, which its result has; torch converts the input."""
    tensors = [one for one in (args[1], result) if isinstance(one, torch.Tensor)]
    if any(one.dim() != _IMAGE_DIMENSIONS for one in tensors):
        return Layout.EITHER
    is_nhwc = all(one.is_contiguous(memory_format=torch.channels_last) for one in tensors)
    is_nchw = all(one.is_contiguous() for one in tensors)
    if is_nhwc:
        return Layout.EITHER if is_nchw else Layout.NHWC
    return Layout.NCHW


def _precision(kind: OperationKind, tensor: torch.Tensor | None) -> str:
    is_on_cuda = tensor is not None and tensor.dtype == torch.float32 and tensor.device.type == "cuda"
    return torch.get_float32_matmul_precision() if kind is OperationKind.MATMUL and is_on_cuda else ""


def _bytes_to_device(args: Sequence[Any], result: Any) -> int:
    """Return the bytes that a copy moves from the host to another device; 0 for any other copy."""
    source = args[1] if len(args) > 1 and isinstance(args[1], torch.Tensor) else args[0]
    is_to_device = source.device.type == "cpu" and result.device.type not in {"cpu", "meta"}
    return result.numel() * result.dtype.itemsize if is_to_device else 0
