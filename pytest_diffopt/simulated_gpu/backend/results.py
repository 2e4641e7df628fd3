"""Results of operations: tensors on the simulated GPU, with new memory or an operand's."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from pytest_diffopt.simulated_gpu.backend import host_values
from pytest_diffopt.simulated_gpu.backend.operation_schemas import Operation, ResultKind
from pytest_diffopt.simulated_gpu.backend.tensor import Metadata, SimulatedTensor, become, make
from pytest_diffopt.simulated_gpu.cost.accounting import CostLedger
from pytest_diffopt.simulated_gpu.cuda.layouts import Inference


class Results:
    """Makes tensors on the simulated GPU.

    Attributes:
        ledger: counts their memory.
        real_up_to: floating tensors of more elements keep only their shape.
    """

    def __init__(self, ledger: CostLedger, real_up_to: float) -> None:
        self.ledger = ledger
        self.real_up_to = real_up_to

    def without_values(
        self, op: Operation, inference: Inference, args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> Any:
        """Make results whose shapes alone are known; operands that were written to lose their values."""
        if op.writes:
            for target, metadata in zip(_targets(op, args, kwargs), inference.written, strict=True):
                if isinstance(target, SimulatedTensor):
                    target.allocation.has_data = False
                    target.allocation.origin = None
                    if target.metadata is not metadata:
                        self._reshape(target, metadata, None)
        results = [
            self._wrap(op.argument(position, args, kwargs), kind, result, None)
            for (kind, position), result in zip(op.returns, inference.results, strict=True)
        ]
        return _packed(op, results)

    def with_values(
        self, op: Operation, inference: Inference | None, host: Any, args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> Any:
        """Wrap values that the CPU computed, in CUDA's layout if it is known."""
        if op.may_reshape:
            for target in _targets(op, args, kwargs):
                if isinstance(target, SimulatedTensor) and target.host_data is not None:
                    metadata = Metadata.of_tensor(target.host_data)
                    if target.metadata is not metadata:
                        self._reshape(target, metadata, target.host_data)
        hosts = (host,) if len(op.returns) <= 1 else tuple(host)
        expected = inference.results if inference is not None else (None,) * len(hosts)
        results = [
            self._wrap(op.argument(position, args, kwargs), kind, one, value)
            for (kind, position), one, value in zip(op.returns, expected, hosts, strict=False)
        ]
        return _packed(op, results)

    def from_host(
        self,
        op: Operation,
        layout: Metadata | None,
        host: Any,
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
    ) -> Any:
        """Wrap values that the CPU computed; their layout is CUDA's unless `layout` is given."""
        if len(op.returns) != 1:
            return self.with_values(op, None, host, args, kwargs)
        kind, position = op.returns[0]
        return self._wrap(op.argument(position, args, kwargs), kind, layout, host)

    def _wrap(self, operand: Any, kind: ResultKind, expected: Any, host: Any) -> Any:
        """Make one result: `expected` is its metadata where known, `host` its values where known."""
        if kind is ResultKind.WRITTEN:
            return operand
        if isinstance(expected, list) or isinstance(host, list | tuple):
            count = len(host if host is not None else expected)
            pairs = zip(expected or [None] * count, host if host is not None else [None] * count, strict=True)
            return [self._wrap(operand, kind, one, value) for one, value in pairs]
        if host is not None and not isinstance(host, torch.Tensor):
            return host
        if host is None and not isinstance(expected, Metadata):
            return expected
        if kind is ResultKind.VIEW:
            return make(Metadata.of_tensor(host) if host is not None else expected, operand.allocation, host)
        return self.new(expected, host)

    def new(self, metadata: Metadata | None, host: torch.Tensor | None, *, is_written: bool = True) -> SimulatedTensor:
        """Make a tensor with new memory, in CUDA's layout; the values of a large one are dropped.

        Args:
            metadata: its layout; None if it is that of `host`.
            host: its values; None if they are not known.
            is_written: whether an operation writes all of it as its result.
        """
        if host is not None:
            if metadata is None or metadata.shape != host.shape:
                metadata = Metadata.of_tensor(host)
            host = self._kept(metadata, host)
        assert metadata is not None  # noqa: S101 - internal invariant: the shape or the values are known
        if metadata.offset:
            metadata = Metadata.of(metadata.shape, metadata.stride, 0, metadata.dtype)
        allocation = self.ledger.allocate(metadata.nbytes, has_data=host is not None, is_written=is_written)
        return make(metadata, allocation, host)

    def keeps(self, metadata: Metadata) -> bool:
        """Return whether a tensor keeps its values."""
        return not metadata.is_droppable or metadata.numel <= self.real_up_to

    def _kept(self, metadata: Metadata, host: torch.Tensor) -> torch.Tensor | None:
        if not self.keeps(metadata):
            return None
        if metadata.stride == host.stride() and metadata.dtype == host.dtype and not host.storage_offset():
            return host
        return torch.empty_strided(metadata.shape, metadata.stride, dtype=metadata.dtype).copy_(host)

    def _reshape(self, target: SimulatedTensor, metadata: Metadata, host: torch.Tensor | None) -> None:
        allocation = target.allocation
        if metadata.nbytes > allocation.nbytes:
            allocation = self.ledger.allocate(metadata.nbytes, has_data=host is not None)
        become(target, make(metadata, allocation, host))


def _targets(op: Operation, args: Sequence[Any], kwargs: Mapping[str, Any]) -> list[torch.Tensor]:
    return host_values.tensors_in([op.argument(position, args, kwargs) for position in op.writes], {})


def _packed(op: Operation, results: list[Any]) -> Any:
    if len(op.returns) == 1:
        return results[0]
    return tuple(results) if results else None
