"""Which shapes, strides and dtypes an operation yields on CUDA: asked of torch once, then remembered."""

import functools
import threading
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from typing import Any

import torch

from pytest_diffopt._torch_private import simulated_device as private
from pytest_diffopt.simulated_gpu.backend.operation_schemas import NEW, Operation
from pytest_diffopt.simulated_gpu.backend.tensor import Metadata, SimulatedTensor

_MOST_REMEMBERED = 200_000
_asking = threading.Lock()  # torch's mode serves one thread at a time
_remembered: dict[tuple[Any, ...], "Inference | None"] = {}
_META = torch.device("meta")
_PLAIN = (int, str, type(None), torch.dtype, torch.layout, torch.memory_format)


class Inference:
    """What an operation yields.

    Attributes:
        results: for each result its metadata; a list of them for a list; the value itself for what is no tensor.
        written: the metadata, after the operation, of each operand that it writes to.
        flops: floating-point operations.
        smallest_loss: elements of the smallest new result if all are of a kind that may lose its data, else -1.
    """

    __slots__ = ("flops", "results", "smallest_loss", "written")

    def __init__(self, results: tuple[Any, ...], written: tuple[Metadata, ...], flops: int) -> None:
        self.results = results
        self.written = written
        self.flops = flops
        self.smallest_loss = -1

    def weigh(self, operation: Operation) -> "Inference":
        """Find out whether a large result makes the values not worth computing."""
        new = [
            result
            for (kind, _), result in zip(operation.returns, self.results, strict=True)
            if kind == NEW and result is not None
        ]
        if new and not operation.writes and all(isinstance(one, Metadata) and one.can_lose_data for one in new):
            self.smallest_loss = min(one.numel for one in new)
        return self


def describe(values: Sequence[Any], key: list[Any], tensors: list[torch.Tensor]) -> None:
    """Append what identifies the shapes of some operands to a key, and the tensors among them to a list."""
    for value in values:
        kind = type(value)
        if kind is SimulatedTensor:
            key.append(value.metadata)
            tensors.append(value)
        elif kind is float:
            key.append(float)  # no shape hangs on a real number: a step's sigma must not make every step new
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
    """Return what an operation yields; None where torch has no rule for it."""
    try:
        return _remembered[key]
    except KeyError:
        pass
    with _asking:
        if len(_remembered) > _MOST_REMEMBERED:
            _remembered.clear()
        found = _remembered[key] = _answer(operation, args, kwargs)
    return found


def _answer(operation: Operation, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Inference | None:
    try:
        return _ask_torch(operation, args, kwargs)
    except private.NO_SHAPE_RULE:
        return None
    except (RuntimeError, AssertionError) as error:
        if not private.asks_for_cuda(error):
            raise
        return None


def _ask_torch(operation: Operation, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Inference:
    fakes: dict[int, torch.Tensor] = {}
    rules, device = (nullcontext(), _META) if operation.is_of_cuda_alone else (private.shape_rules(), private.FAKE_CUDA)
    with rules:
        fake_args = [_fake(value, fakes, device) for value in args]
        fake_kwargs = {name: _fake(value, fakes, device) for name, value in kwargs.items()}
        out = operation.overload(*fake_args, **fake_kwargs)
        if operation.is_convolution:
            x, weight = (Metadata.of_tensor(one) for one in fake_args[:2])
            out = fake_tensor(convolution_layout(x, weight, out.shape), device)
        flops = private.flops_of(operation.overload, fake_args, fake_kwargs, out)
        written = tuple(
            Metadata.of_tensor(one)
            for position in operation.writes
            for one in _tensors_in(operation.argument(position, fake_args, fake_kwargs))
        )
    results = (out,) if len(operation.returns) == 1 else tuple(out or ())
    return Inference(tuple(described(result) for result in results), written, flops).weigh(operation)


@functools.cache
def convolution_layout(x: Metadata, weight: Metadata, shape: torch.Size) -> Metadata:
    """Lay a convolution out as cuDNN does, which this torch may lack: `cudnn_conv_suggest_memory_format`."""
    formats = {private.memory_format(_shape_only(one)) for one in (x, weight)} - {torch.contiguous_format}
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
    """Make a tensor that torch's shape rules take for one on a device."""
    if not metadata.offset:
        return torch.empty_strided(metadata.shape, metadata.stride, dtype=metadata.dtype, device=device)
    memory = torch.empty(metadata.nbytes // metadata.dtype.itemsize, dtype=metadata.dtype, device=device)
    return memory.as_strided(metadata.shape, metadata.stride, metadata.offset)


def described(result: Any) -> Any:
    """Put metadata in place of each tensor in a result."""
    if isinstance(result, torch.Tensor):
        return Metadata.of_tensor(result)
    return [described(one) for one in result] if isinstance(result, list | tuple) else result
