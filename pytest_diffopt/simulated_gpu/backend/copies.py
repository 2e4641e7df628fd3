"""Copies: over the bus, which may make the CPU wait, and on the device, which never do."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from pytest_diffopt._torch_private import simulated_device as private
from pytest_diffopt.simulated_gpu.backend import host_values, pinned_memory
from pytest_diffopt.simulated_gpu.backend.dispatch import Dispatcher
from pytest_diffopt.simulated_gpu.backend.operation_schemas import Operation
from pytest_diffopt.simulated_gpu.backend.tensor import Metadata, SimulatedTensor


def copy(dispatcher: Dispatcher, facts: Operation, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """Carry out `target.copy_(source)`."""
    operands = facts.bind(args, kwargs)
    target, source, non_blocking = operands["self"], operands["src"], operands["non_blocking"]
    if isinstance(target, SimulatedTensor) and isinstance(source, SimulatedTensor):
        return dispatcher.carry_out(facts, args, {})
    dispatcher.wait(facts.full_name, operands)
    if isinstance(target, SimulatedTensor):
        return _copy_in(dispatcher, target, source, non_blocking=non_blocking)
    _count_copy_out(dispatcher, source)
    return target if target.is_meta else target.copy_(_fetched(dispatcher, facts, source))


def send(dispatcher: Dispatcher, source: torch.Tensor, *, non_blocking: bool) -> SimulatedTensor:
    """Copy a whole, dense host tensor to the device, as `source.to(device)` does."""
    metadata = Metadata.of_tensor(source)
    is_kept = not source.is_meta and dispatcher.results.keeps(metadata)
    target = dispatcher.results.new(metadata, _counterpart(metadata, source) if is_kept else None)
    dispatcher.wait("aten.copy_.default", {"self": target, "src": source, "non_blocking": non_blocking})
    _count_copy_in(dispatcher, target, source, non_blocking=non_blocking)
    return target


def _counterpart(metadata: Metadata, source: torch.Tensor) -> torch.Tensor:
    shared = private.copied_on_write(source) if metadata.nbytes >= host_values.LARGE_BYTES else None
    return source.detach().clone() if shared is None else shared


def _copy_in(
    dispatcher: Dispatcher, target: SimulatedTensor, source: torch.Tensor, *, non_blocking: bool
) -> SimulatedTensor:
    _count_copy_in(dispatcher, target, source, non_blocking=non_blocking)
    if source.is_meta:  # a model that was never loaded: what it will hold is not known
        target.allocation.has_data = False
    elif target.has_data and target.host_data is not None:
        shared = _shared(target.metadata, target.host_data, source)
        if shared is None:
            target.host_data.copy_(source)
        else:
            target.host_data = shared
    return target


def _count_copy_in(
    dispatcher: Dispatcher, target: SimulatedTensor, source: torch.Tensor, *, non_blocking: bool
) -> None:
    # A blocking copy changes the dtype on the host; the other sends raw bytes and changes it on the device.
    changes_on_device = non_blocking and source.dtype != target.dtype
    sent = source.dtype if changes_on_device else target.dtype
    cell = dispatcher.ledger.cell()
    cell.bytes_to_device += source.numel() * sent.itemsize
    if source.numel() and (changes_on_device or not target.is_contiguous()):
        cell.operations += 1


def _shared(metadata: Metadata, host: torch.Tensor, source: torch.Tensor) -> torch.Tensor | None:
    """Return large values that are copied when either side is written to, which weights never are; None if they cannot.

    Somebody who looks at the memory of the new tensor already must find the values there.
    """
    if metadata.nbytes < host_values.LARGE_BYTES or metadata is not Metadata.of_tensor(source):
        return None
    return private.copied_on_write(source) if private.is_alone(host) else None


def convert(dispatcher: Dispatcher, facts: Operation, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """Carry out `tensor.to(...)` where it has to copy."""
    source, device = args[0], kwargs.get("device")
    plain = {name: one for name, one in kwargs.items() if name not in ("non_blocking", "pin_memory")}
    if device is None or torch.device(device).type == source.device.type:
        return dispatcher.carry_out(facts, args, plain)
    if torch.device(device).type == "meta":
        shape, stride = source.metadata.shape, source.metadata.stride
        return facts.overload(torch.empty_strided(shape, stride, dtype=source.dtype, device="meta"), **plain)
    dispatcher.wait(facts.full_name, facts.bind(args, kwargs))
    _count_copy_out(dispatcher, source)
    result = facts.overload(_fetched(dispatcher, facts, source), **plain)
    if result is source.host_data:
        result = result.clone()
    if kwargs.get("non_blocking"):
        pinned_memory.mark_pinned(result)
    return result


def _count_copy_out(dispatcher: Dispatcher, source: SimulatedTensor) -> None:
    cell = dispatcher.ledger.cell()
    cell.bytes_to_host += source.metadata.numel * source.metadata.dtype.itemsize
    if source.metadata.numel and not source.is_contiguous():
        cell.operations += 1  # gathered on the device first


def _fetched(dispatcher: Dispatcher, facts: Operation, source: SimulatedTensor) -> torch.Tensor:
    """Return the values; zeros, and a note, for an image or latents whose values were dropped."""
    if source.has_data and source.host_data is not None:
        return source.host_data
    dispatcher.ledger.note_placeholders(facts.name)
    return torch.zeros(source.metadata.shape, dtype=source.metadata.dtype)


HANDLERS = {"aten.copy_": copy, "aten._to_copy": convert}
