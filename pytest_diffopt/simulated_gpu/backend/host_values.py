"""Values on the host: which operations need them, and the placeholders for values that do not exist."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch._ops import OpOverload

from pytest_diffopt._torch_private.spare_backend import DEVICE_TYPE
from pytest_diffopt._torch_private.storages import has_unshared_storage
from pytest_diffopt.simulated_gpu.backend.operation_schemas import Operation
from pytest_diffopt.simulated_gpu.backend.tensor import Metadata, SimulatedTensor
from pytest_diffopt.simulated_gpu.cost.accounting import CostLedger
from pytest_diffopt.simulated_gpu.cuda.layouts import Inference, described
from pytest_diffopt.simulated_gpu.cuda.sync_conditions import Call, is_mask, is_off_device

_aten = torch.ops.aten

LARGE_BYTES = 64 * 1024  # below, writing memory takes no longer than arranging to write it later
_HOST = torch.device("cpu")
_PLAIN = frozenset({int, float, bool, complex, str, type(None), torch.dtype, torch.layout, torch.memory_format})

ANSWERED_WITH_FALSE = frozenset({"aten.equal", "aten.allclose"})


def _operands(*names: str) -> Callable[[Call], list[torch.Tensor]]:
    return lambda call: [call[name] for name in names if call[name] is not None]


def _masks(call: Call) -> list[torch.Tensor]:
    return [index for index in call["indices"] if index is not None and is_mask(index)]


def _repeats(call: Call) -> list[torch.Tensor]:
    return [] if call["output_size"] is not None else [call["repeats"]]


def _filling(call: Call) -> list[torch.Tensor]:
    return [call["value"]] if is_off_device(call["self"]) and isinstance(call["value"], torch.Tensor) else []


# For each operation whose result, or its size, depends on the values of operands: those operands.
NEEDED: dict[str, Callable[[Call], list[torch.Tensor]]] = {
    "aten._local_scalar_dense": _operands("self"),
    "aten.equal": _operands("self", "other"),
    "aten.allclose": _operands("self", "other"),
    "aten.nonzero": _operands("self"),
    "aten.masked_select": _operands("mask"),
    "aten.unique_dim": _operands("self"),
    "aten._unique": _operands("self"),
    "aten._unique2": _operands("self"),
    "aten.unique_consecutive": _operands("self"),
    "aten.unique_dim_consecutive": _operands("self"),
    "aten.bincount": _operands("self"),
    "aten.repeat_interleave": _repeats,
    "aten.fill_": _filling,
    "aten.index": _masks,
    "aten._unsafe_index": _masks,
    "aten.index_put": _masks,
    "aten.index_put_": _masks,
    "aten._index_put_impl_": _masks,
}


def tensors_in(args: Sequence[Any], kwargs: Mapping[str, Any]) -> list[torch.Tensor]:
    """Return the tensors among operands, including those in lists."""
    found: list[torch.Tensor] = []
    for value in (*args, *kwargs.values()):
        if isinstance(value, torch.Tensor):
            found.append(value)
        elif isinstance(value, list | tuple):
            found += tensors_in(value, {})
    return found


def has_data(tensor: torch.Tensor) -> bool:
    """Return whether a tensor's values are known, on any device."""
    return tensor.has_data if isinstance(tensor, SimulatedTensor) else not tensor.is_meta


def zeros(metadata: Metadata) -> torch.Tensor:
    """Make new memory, filled with zeros so that the same call always counts the same.

    Large memory comes from NumPy, which takes zero pages from the operating system without writing them. Torch writes
    every page (twice with deterministic algorithms, which fill it with NaN first); that takes longer than the copy that
    usually follows.
    """
    if metadata.nbytes < LARGE_BYTES:
        return torch.empty_strided(metadata.shape, metadata.stride, dtype=metadata.dtype).zero_()
    memory = torch.from_numpy(np.zeros(metadata.nbytes, dtype=np.uint8)).view(metadata.dtype)
    return memory.as_strided(metadata.shape, metadata.stride)


def make_resizable(tensor: torch.Tensor) -> None:
    """Move values to memory that torch allocated, which can grow in place."""
    if isinstance(tensor, SimulatedTensor) and tensor.host_data is not None:
        host = tensor.host_data
        if not host.untyped_storage().resizable() and has_unshared_storage(host):
            own = torch.empty_like(host).copy_(host)
            host.set_(own.untyped_storage(), 0, host.shape, host.stride())


def placeholder_for(tensor: torch.Tensor) -> torch.Tensor:
    """Make placeholder values: zeros, or a mask that selects everything."""
    make = torch.ones if tensor.dtype == torch.bool else torch.zeros
    return make(tensor.shape, dtype=tensor.dtype)


def arbitrary_values(tensor: torch.Tensor) -> torch.Tensor:
    """Make typical values: random fractions in a floating dtype, else ones."""
    if tensor.dtype.is_floating_point:
        return torch.rand(tensor.shape, generator=torch.Generator().manual_seed(0)).to(tensor.dtype)
    return torch.ones(tensor.shape, dtype=tensor.dtype)


def known_values(operands: Iterable[Any], ledger: CostLedger) -> list[Any] | None:
    """Return operands for the CPU; None if a value is not known or an operand needs the checks of the slow path."""
    hosts: list[Any] = []
    for one in operands:
        kind = type(one)
        if kind is SimulatedTensor:
            allocation = one.allocation
            if one.host_data is None or not allocation.has_data or allocation.ledger is not ledger:
                return None
            hosts.append(one.host_data)
        elif kind in _PLAIN:
            hosts.append(one)
        elif kind is list or kind is tuple:
            inner = known_values(one, ledger)
            if inner is None:
                return None
            hosts.append(inner)
        elif kind is torch.device and one.type == DEVICE_TYPE:
            hosts.append(_HOST)
        elif kind is torch.Tensor and not one.dim() and not one.is_meta:
            hosts.append(one)
        else:
            return None
    return hosts


def on_host(value: Any, placeholders: Mapping[int, torch.Tensor]) -> Any:
    """Return an operand for the CPU; values that are not known are left uninitialized."""
    if isinstance(value, SimulatedTensor):
        if id(value) in placeholders:
            return placeholders[id(value)]
        if value.has_data:
            return value.host_data
        return torch.empty_strided(value.metadata.shape, value.metadata.stride, dtype=value.metadata.dtype)
    if isinstance(value, torch.device):
        return torch.device("cpu") if value.type == DEVICE_TYPE else value
    if isinstance(value, list | tuple) and not isinstance(value, torch.Size):
        return [on_host(one, placeholders) for one in value]
    return value


def without_masks(
    op: Operation, args: Sequence[Any], placeholders: Mapping[int, torch.Tensor]
) -> tuple[OpOverload, list[Any]]:
    """Rewrite indexing by masks as indexing by positions, for a tensor whose values are not known."""
    if op.name == "aten.masked_select":
        mask = on_host(args[1], placeholders)
        either = torch.empty(args[0].shape, device="meta").logical_or(torch.empty(mask.shape, device="meta"))
        expanded, mask = _aten.expand.default(args[0], either.shape), mask.expand(either.shape)
        return _aten.index.Tensor, [expanded, list(mask.nonzero(as_tuple=True))]
    indices: list[torch.Tensor | None] = []
    for index in args[1]:
        if index is not None and is_mask(index):
            indices += on_host(index, placeholders).nonzero(as_tuple=True)
        else:
            indices.append(index)
    return op.overload, [args[0], indices, *args[2:]]


def infer_from_zeros(op: Operation, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Inference:
    """Infer the results of an operation by running its CPU kernel on zeros."""

    def zeros(value: Any) -> Any:
        if isinstance(value, torch.Tensor):
            return torch.zeros(value.shape, dtype=value.dtype)
        return [zeros(one) for one in value] if isinstance(value, list | tuple) else on_host(value, {})

    host_args, host_kwargs = [zeros(one) for one in args], {name: zeros(one) for name, one in kwargs.items()}
    out = op.overload(*host_args, **host_kwargs)
    outs = (out,) if len(op.returns) == 1 else tuple(out or ())
    written = tensors_in([op.argument(position, host_args, host_kwargs) for position in op.writes], {})
    return Inference(tuple(described(one) for one in outs), tuple(Metadata.of_tensor(one) for one in written), None)
