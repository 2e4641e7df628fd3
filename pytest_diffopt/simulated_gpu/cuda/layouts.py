"""Shapes, strides and dtypes of results on CUDA, inferred by torch's shape rules once for each signature."""

import functools
import threading
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from typing import Any

import torch

from pytest_diffopt._torch_private.flop_formulas import Flops, flops_of
from pytest_diffopt._torch_private.shape_rules import (
    FAKE_CUDA,
    NO_SHAPE_RULE,
    is_caused_by_missing_cuda,
    shape_rules,
    suggested_memory_format,
)
from pytest_diffopt.simulated_gpu.backend.operation_schemas import Operation, ResultKind
from pytest_diffopt.simulated_gpu.backend.tensor import Metadata, SimulatedTensor

_CACHE_SIZE = 200_000
_lock = threading.Lock()  # FakeTensorMode is not thread-safe
_cache: dict[tuple[Any, ...], "Inference | None"] = {}
_META = torch.device("meta")
_PLAIN = (int, str, type(None), torch.dtype, torch.layout, torch.memory_format)


class Inference:
    """The inferred results of an operation.

    Attributes:
        results: for each result its metadata; for a list of tensors a list; for any other value the value itself.
        written: the metadata of each operand that is written to, after the operation.
        flops: floating-point operations; None for an operation without a formula.
        smallest_droppable: elements of the smallest new result if the values of all can be dropped, else -1.
    """

    __slots__ = ("flops", "results", "smallest_droppable", "written")

    def __init__(self, results: tuple[Any, ...], written: tuple[Metadata, ...], flops: Flops | None) -> None:
        self.results = results
        self.written = written
        self.flops = flops
        self.smallest_droppable = -1

    def with_droppable_size(self, operation: Operation) -> "Inference":
        """Set `smallest_droppable`: the values of a large result are not worth computing."""
        new = [
            result
            for (kind, _), result in zip(operation.returns, self.results, strict=True)
            if kind is ResultKind.NEW and result is not None
        ]
        if new and not operation.writes and all(isinstance(one, Metadata) and one.is_droppable for one in new):
            self.smallest_droppable = min(one.numel for one in new)
        return self


def describe(values: Sequence[Any], key: list[Any], tensors: list[torch.Tensor]) -> None:
    """Append what determines the results' shapes to `key`, and the tensors among the operands to `tensors`."""
    for value in values:
        kind = type(value)
        if kind is SimulatedTensor:
            key.append(value.metadata)
            tensors.append(value)
        elif kind is float:
            key.append(float)  # no shape depends on a float, and a sigma differs in every step
        elif kind is bool:
            key.append("true" if value else "false")  # True and 1 are equal as keys
        elif kind is list or kind is tuple:
            key.append("[")
            describe(value, key, tensors)
            key.append("]")
        elif kind in _PLAIN:
            key.append(value)
        elif isinstance(value, torch.Tensor):
            key.append("host")
            key.append(Metadata.of_tensor(value))
            tensors.append(value)
        else:
            key.append(value if kind is torch.device else tuple(value) if isinstance(value, torch.Size) else kind)


def infer(
    operation: Operation, key: tuple[Any, ...], args: Sequence[Any], kwargs: Mapping[str, Any]
) -> Inference | None:
    """Return the inferred results of an operation; None if torch has no shape rule."""
    try:
        return _cache[key]
    except KeyError:
        pass
    with _lock:
        if len(_cache) > _CACHE_SIZE:
            _cache.clear()
        found = _cache[key] = _infer_or_none(operation, args, kwargs)
    return found


def _infer_or_none(operation: Operation, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Inference | None:
    try:
        return _infer_with_torch(operation, args, kwargs)
    except NO_SHAPE_RULE:
        return None
    except (RuntimeError, AssertionError) as error:
        if not is_caused_by_missing_cuda(error):
            raise
        return None


def _infer_with_torch(operation: Operation, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Inference:
    fakes: dict[int, torch.Tensor] = {}
    rules, device = (nullcontext(), _META) if operation.is_cuda_only else (shape_rules(), FAKE_CUDA)
    with rules:
        fake_args = [_fake(value, fakes, device) for value in args]
        fake_kwargs = {name: _fake(value, fakes, device) for name, value in kwargs.items()}
        out = operation.overload(*fake_args, **fake_kwargs)
        if operation.is_convolution:
            x, weight = (Metadata.of_tensor(one) for one in fake_args[:2])
            out = fake_tensor(convolution_layout(x, weight, out.shape), device)
        flops = flops_of(operation.overload, fake_args, fake_kwargs, out) if operation.has_flops else None
        written = tuple(
            Metadata.of_tensor(one)
            for position in operation.writes
            for one in _tensors_in(operation.argument(position, fake_args, fake_kwargs))
        )
    results = (out,) if len(operation.returns) == 1 else tuple(out or ())
    return Inference(tuple(described(result) for result in results), written, flops).with_droppable_size(operation)


@functools.cache
def convolution_layout(x: Metadata, weight: Metadata, shape: torch.Size) -> Metadata:
    """Return cuDNN's layout of a convolution's result: `cudnn_conv_suggest_memory_format`."""
    formats = {suggested_memory_format(_shape_only(one)) for one in (x, weight)} - {torch.contiguous_format}
    chosen = formats.pop() if formats and x.dtype != torch.float64 else torch.contiguous_format
    stride = torch.empty(shape, device="meta", memory_format=chosen).stride()
    return Metadata.of(shape, stride, 0, x.dtype)


def _shape_only(metadata: Metadata) -> torch.Tensor:
    return torch.empty_strided(metadata.shape, metadata.stride, dtype=metadata.dtype, device="meta")


def _tensors_in(value: Any) -> list[torch.Tensor]:
    if isinstance(value, torch.Tensor):
        return [value]
    return [one for one in value if isinstance(one, torch.Tensor)] if isinstance(value, list | tuple) else []


def _fake(value: Any, fakes: dict[int, torch.Tensor], device: torch.device) -> Any:
    if isinstance(value, torch.Tensor):
        if id(value) not in fakes:
            metadata = value.metadata if isinstance(value, SimulatedTensor) else Metadata.of_tensor(value)
            fakes[id(value)] = fake_tensor(metadata, device)
        return fakes[id(value)]
    if isinstance(value, list | tuple):
        return [_fake(one, fakes, device) for one in value]
    if isinstance(value, torch.device):
        return device
    return None if isinstance(value, torch.Generator) else value


def fake_tensor(metadata: Metadata, device: torch.device) -> torch.Tensor:
    """Make a fake or meta tensor on a device."""
    if not metadata.offset:
        return torch.empty_strided(metadata.shape, metadata.stride, dtype=metadata.dtype, device=device)
    memory = torch.empty(metadata.nbytes // metadata.dtype.itemsize, dtype=metadata.dtype, device=device)
    return memory.as_strided(metadata.shape, metadata.stride, metadata.offset)


def described(result: Any) -> Any:
    """Replace each tensor in a result by its metadata."""
    if isinstance(result, torch.Tensor):
        return Metadata.of_tensor(result)
    return [described(one) for one in result] if isinstance(result, list | tuple) else result
