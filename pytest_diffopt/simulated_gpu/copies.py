"""Copies: over the bus, which may make the CPU wait, and on the device, which never do."""

from collections.abc import Mapping, Sequence
from typing import Any
from weakref import WeakValueDictionary

import torch

from .dispatch import HANDLERS, Dispatcher
from .operations import Operation
from .records import SyncKind
from .tensor import SimulatedTensor

# Host memory that the driver can copy from without a detour. A storage's Python object lives as long as the storage.
_pinned: WeakValueDictionary[int, torch.UntypedStorage] = WeakValueDictionary()


def pin(tensor: torch.Tensor) -> torch.Tensor:
    """Return a copy of a host tensor that counts as pinned."""
    copy = tensor.clone()
    mark_pinned(copy)
    return copy


def mark_pinned(tensor: torch.Tensor) -> None:
    """Let a host tensor count as pinned."""
    storage = tensor.untyped_storage()
    _pinned[storage._cdata] = storage  # noqa: SLF001 - the storage's address, its only identity


def is_pinned(tensor: torch.Tensor) -> bool:
    """Tell whether a host tensor counts as pinned."""
    return tensor.untyped_storage()._cdata in _pinned  # noqa: SLF001


def copy(dispatcher: Dispatcher, facts: Operation, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """Carry out `target.copy_(source)`."""
    operands = facts.bind(args, kwargs)
    target, source, non_blocking = operands["self"], operands["src"], operands["non_blocking"]
    if not isinstance(target, SimulatedTensor):
        return _copy_to_host(dispatcher, facts, target, source, non_blocking=non_blocking)
    if isinstance(source, SimulatedTensor):
        return dispatcher.carry_out(facts, args, {})
    return _copy_to_device(dispatcher, facts, target, source, non_blocking=non_blocking)


def _copy_to_device(
    dispatcher: Dispatcher, facts: Operation, target: SimulatedTensor, source: torch.Tensor, *, non_blocking: bool
) -> SimulatedTensor:
    count = target.metadata.numel
    if count:
        # Blocking copies change the dtype on the host; the others send raw bytes and change it on the device.
        sent = source.dtype if non_blocking else target.dtype
        cell = dispatcher.ledger.cell()
        cell.bytes_to_device += source.numel() * sent.itemsize
        if not target.is_contiguous() or (non_blocking and source.dtype != target.dtype):
            cell.operations += 1
        if source.is_meta or not (non_blocking and is_pinned(source)):
            dispatcher.ledger.note_sync(SyncKind.COPY_FROM_HOST, facts.name, is_reported=not non_blocking)
    if source.is_meta:
        target.allocation.has_data = False
    elif target.has_data and target.host_data is not None:
        target.host_data.copy_(source)
    return target


def _copy_to_host(
    dispatcher: Dispatcher, facts: Operation, target: torch.Tensor, source: SimulatedTensor, *, non_blocking: bool
) -> torch.Tensor:
    _note_copy_to_host(
        dispatcher, facts, source, waits=not (non_blocking and is_pinned(target)), is_reported=not non_blocking
    )
    if target.is_meta:
        return target
    return target.copy_(_fetched(dispatcher, facts, source))


def convert(dispatcher: Dispatcher, facts: Operation, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """Carry out `tensor.to(...)` where it has to copy."""
    source, device = args[0], kwargs.get("device")
    if device is None or torch.device(device).type == source.device.type:
        return dispatcher.carry_out(facts, args, {name: one for name, one in kwargs.items() if name != "non_blocking"})
    kwargs = {name: one for name, one in kwargs.items() if name not in ("non_blocking", "pin_memory")}
    if torch.device(device).type == "meta":
        shape_only = torch.empty_strided(
            source.metadata.shape, source.metadata.stride, dtype=source.dtype, device="meta"
        )
        return facts.overload(shape_only, **kwargs)
    # Without blocking, torch takes pinned memory for the result, so nothing waits.
    non_blocking = bool(facts.bind(args, kwargs)["non_blocking"])
    _note_copy_to_host(dispatcher, facts, source, waits=not non_blocking, is_reported=True)
    return facts.overload(_fetched(dispatcher, facts, source), **kwargs)


def _note_copy_to_host(
    dispatcher: Dispatcher, facts: Operation, source: SimulatedTensor, *, waits: bool, is_reported: bool
) -> None:
    if not source.metadata.numel:
        return
    cell = dispatcher.ledger.cell()
    cell.bytes_to_host += source.metadata.numel * source.metadata.dtype.itemsize
    if not source.is_contiguous():
        cell.operations += 1  # gathered on the device first
    if waits:
        dispatcher.ledger.note_sync(SyncKind.COPY_TO_HOST, facts.name, is_reported=is_reported)


def _fetched(dispatcher: Dispatcher, facts: Operation, source: SimulatedTensor) -> torch.Tensor:
    """Return the values; zeros, and a note, for a picture or latents whose values were dropped."""
    if source.has_data and source.host_data is not None:
        return source.host_data
    dispatcher.ledger.note_invented(facts.name)
    return torch.zeros(source.metadata.shape, dtype=source.metadata.dtype)


HANDLERS["aten.copy_"] = copy
HANDLERS["aten._to_copy"] = convert
