"""Copies: over the bus, which may synchronize, and on the device, which never do."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from pytest_diffopt._torch_private.storages import has_unshared_storage, lazy_clone, version_of
from pytest_diffopt.simulated_gpu.backend import host_values, pinned_memory
from pytest_diffopt.simulated_gpu.backend.dispatch import Dispatcher
from pytest_diffopt.simulated_gpu.backend.operation_schemas import Operation
from pytest_diffopt.simulated_gpu.backend.tensor import Metadata, SimulatedTensor


def copy(dispatcher: Dispatcher, op: Operation, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """Run `target.copy_(source)`."""
    operands = op.bind(args, kwargs)
    target, source, non_blocking = operands["self"], operands["src"], operands["non_blocking"]
    if isinstance(target, SimulatedTensor) and isinstance(source, SimulatedTensor):
        return dispatcher.execute(op, args, {})
    dispatcher.note_syncs(op.full_name, operands)
    if isinstance(target, SimulatedTensor):
        return _copy_in(dispatcher, target, source, non_blocking=non_blocking)
    _count_copy_out(dispatcher, source)
    return target if target.is_meta else target.copy_(_fetched(dispatcher, op, source))


def send(dispatcher: Dispatcher, source: torch.Tensor, *, non_blocking: bool) -> SimulatedTensor:
    """Copy a dense host tensor to the device, as `source.to(device)` does."""
    metadata = Metadata.of_tensor(source)
    is_kept = not source.is_meta and dispatcher.results.keeps(metadata)
    target = dispatcher.results.new(metadata, _cloned(metadata, source) if is_kept else None)
    dispatcher.note_syncs("aten.copy_.default", {"self": target, "src": source, "non_blocking": non_blocking})
    _count_copy_in(dispatcher, target, source, non_blocking=non_blocking)
    if not is_kept:
        _remember_origin(target, source)
    return target


def _remember_origin(target: SimulatedTensor, source: torch.Tensor) -> None:
    """Remember which host tensor a tensor without values is equal to: offload copies its weights back unchanged."""
    version = version_of(source)
    is_same = Metadata.of_tensor(source) is target.metadata and not source.is_meta and version is not None
    target.allocation.origin = (source.detach(), version) if is_same else None


def _from_origin(source: SimulatedTensor) -> torch.Tensor | None:
    """Return a copy of the host tensor that a tensor without values is equal to; None if there is none."""
    host, version = source.allocation.origin or (None, None)
    if host is None or version_of(host) != version or Metadata.of_tensor(host) is not source.metadata:
        return None
    shared = lazy_clone(host)
    return host.clone() if shared is None else shared


def _cloned(metadata: Metadata, source: torch.Tensor) -> torch.Tensor:
    shared = lazy_clone(source) if metadata.nbytes >= host_values.LARGE_BYTES else None
    return source.detach().clone() if shared is None else shared


def _copy_in(
    dispatcher: Dispatcher, target: SimulatedTensor, source: torch.Tensor, *, non_blocking: bool
) -> SimulatedTensor:
    _count_copy_in(dispatcher, target, source, non_blocking=non_blocking)
    if source.is_meta:  # a model without weights
        target.allocation.has_data = False
        target.allocation.origin = None
    elif target.has_data and target.host_data is not None:
        shared = _shared(target.metadata, target.host_data, source)
        if shared is None:
            target.host_data.copy_(source)
        else:
            target.host_data = shared
    elif not target.has_data:
        _remember_origin(target, source)
    return target


def _count_copy_in(
    dispatcher: Dispatcher, target: SimulatedTensor, source: torch.Tensor, *, non_blocking: bool
) -> None:
    # A blocking copy converts the dtype on the host; a non-blocking one sends the source's bytes and converts on the
    # device.
    changes_on_device = non_blocking and source.dtype != target.dtype
    sent = source.dtype if changes_on_device else target.dtype
    cell = dispatcher.ledger.cell()
    cell.bytes_to_device += source.numel() * sent.itemsize
    if source.numel() and (changes_on_device or not target.is_contiguous()):
        cell.add_kernel()


def _shared(metadata: Metadata, host: torch.Tensor, source: torch.Tensor) -> torch.Tensor | None:
    """Return a copy-on-write clone of a large source; None if the values must be copied now.

    They must be when a view already uses the target's memory: it has to see them.
    """
    if metadata.nbytes < host_values.LARGE_BYTES or metadata is not Metadata.of_tensor(source):
        return None
    return lazy_clone(source) if has_unshared_storage(host) else None


def convert(dispatcher: Dispatcher, op: Operation, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """Run `tensor.to(...)` where it copies."""
    source, device = args[0], kwargs.get("device")
    plain = {name: one for name, one in kwargs.items() if name not in ("non_blocking", "pin_memory")}
    if device is None or torch.device(device).type == source.device.type:
        return dispatcher.execute(op, args, plain)
    if torch.device(device).type == "meta":
        shape, stride = source.metadata.shape, source.metadata.stride
        return op.overload(torch.empty_strided(shape, stride, dtype=source.dtype, device="meta"), **plain)
    dispatcher.note_syncs(op.full_name, op.bind(args, kwargs))
    _count_copy_out(dispatcher, source)
    result = _converted(op, _fetched(dispatcher, op, source), plain, is_own=not source.has_data)
    if result is source.host_data:
        result = result.clone()
    if kwargs.get("non_blocking"):
        pinned_memory.mark_pinned(result)
    return result


def _converted(op: Operation, fetched: torch.Tensor, plain: Mapping[str, Any], *, is_own: bool) -> torch.Tensor:
    """Return what was fetched with the dtype and layout of the call; a copy that nothing else holds is not copied."""
    as_fetched = {"dtype": fetched.dtype, "layout": fetched.layout, "memory_format": torch.preserve_format}
    if is_own and all(plain.get(name) in (None, value) for name, value in as_fetched.items()):
        return fetched
    converted: torch.Tensor = op.overload(fetched, **plain)
    return converted


def _count_copy_out(dispatcher: Dispatcher, source: SimulatedTensor) -> None:
    cell = dispatcher.ledger.cell()
    cell.bytes_to_host += source.metadata.numel * source.metadata.dtype.itemsize
    if source.metadata.numel and not source.is_contiguous():
        cell.add_kernel()  # made contiguous on the device first


def _fetched(dispatcher: Dispatcher, op: Operation, source: SimulatedTensor) -> torch.Tensor:
    """Return the values; for an image or latents whose values were dropped, note it and return zeros."""
    if source.has_data and source.host_data is not None:
        return source.host_data
    unchanged = _from_origin(source)
    if unchanged is not None:
        return unchanged
    dispatcher.ledger.note_placeholders(op.name)
    return host_values.zeros(source.metadata)


HANDLERS = {"aten.copy_": copy, "aten._to_copy": convert}
