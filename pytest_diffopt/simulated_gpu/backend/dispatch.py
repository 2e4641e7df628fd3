"""Runs operations on simulated tensors: notes their syncs, counts their cost and makes their results."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import inf
from types import MappingProxyType
from typing import Any

import torch
from torch._ops import OpOverload

from pytest_diffopt._torch_private.flop_formulas import flops_of
from pytest_diffopt._torch_private.overloads import run_composite
from pytest_diffopt.errors import SimulationError
from pytest_diffopt.simulated_gpu.backend import host_values
from pytest_diffopt.simulated_gpu.backend.operand_checks import check_generator, check_tensors
from pytest_diffopt.simulated_gpu.backend.operation_schemas import Operation, operation
from pytest_diffopt.simulated_gpu.backend.results import Results
from pytest_diffopt.simulated_gpu.backend.tensor import Metadata, SimulatedTensor, make
from pytest_diffopt.simulated_gpu.cost.accounting import CostLedger
from pytest_diffopt.simulated_gpu.cuda.layouts import Inference, convolution_layout, describe, infer
from pytest_diffopt.simulated_gpu.cuda.sync_conditions import Call
from pytest_diffopt.simulated_gpu.cuda.sync_table import rules_for

NOT_HANDLED = object()
_NO_OPTIONS: Mapping[str, Any] = MappingProxyType({})
Handler = Callable[["Dispatcher", Operation, Sequence[Any], Mapping[str, Any]], Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class Handlers:
    """Functions that replace the default path of some operations.

    Attributes:
        by_operation: run an operation from beginning to end, by its name with the overload or without.
        on_host: compute on the CPU, from all operands by name, what only CUDA has a kernel for.
        attention: runs `scaled_dot_product_attention`.
    """

    by_operation: Mapping[str, Handler]
    on_host: Mapping[str, Callable[[dict[str, Any]], Any]]
    attention: Callable[..., Any]


class Dispatcher:
    """Runs operations while one simulated GPU is entered.

    Attributes:
        ledger: counts syncs, work and memory.
        handlers: replace the default path of some operations.
        real_up_to: floating tensors of more elements keep only their shape.
        placeholder_values: whether reading a dropped value returns zero and is noted; otherwise it is an error.
        results: makes tensors on the device.
        generators: the device's random generators by address; they are kept alive, so an address stays unique.
    """

    def __init__(self, ledger: CostLedger, handlers: Handlers, *, real_up_to: float, placeholder_values: bool) -> None:
        self.ledger = ledger
        self.handlers = handlers
        self.real_up_to = real_up_to
        self.placeholder_values = placeholder_values
        self.results = Results(ledger, real_up_to)
        self.generators: dict[int, torch.Generator] = {}
        # Keyed by identity: an overload is never freed, and its hash is computed in Python.
        self._known: dict[int, tuple[Operation, Handler | None]] = {}

    def run(self, overload: OpOverload, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """Run one operation, by its handler if it has one."""
        known = self._known.get(id(overload))
        if known is None:
            known = self._known[id(overload)] = self._look_up(overload)
        op, handler = known
        if handler is not None:
            return handler(self, op, args, kwargs)
        return self.execute(op, args, kwargs)

    def _look_up(self, overload: OpOverload) -> tuple[Operation, Handler | None]:
        op = operation(overload)
        handler = self.handlers.by_operation.get(op.full_name) or self.handlers.by_operation.get(op.name)
        if handler is None and op.is_composite:
            handler = _decompose
        elif handler is None and op.name in host_values.NEEDED:
            handler = _with_values
        return op, handler

    def execute(self, op: Operation, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """Run an operation of the device without a handler."""
        done = self.execute_on_host(op, args, kwargs)
        return done if done is not NOT_HANDLED else self._execute_by_shape_rule(op, args, kwargs)

    def _execute_by_shape_rule(self, op: Operation, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """Run an operation whose result is laid out by torch's shape rules."""
        key: list[Any] = [op.overload]
        tensors: list[torch.Tensor] = []
        describe(args, key, tensors)
        for name, value in kwargs.items():
            key.append(name)
            describe((value,), key, tensors)
        has_data = self._check(op, tensors, args, kwargs)
        inference = infer(op, tuple(key), args, kwargs)
        if inference is None and not has_data:
            # Torch has no shape rule: run the CPU kernel on zeros.
            self.ledger.unmodelled.add(op.full_name)
            inference = host_values.infer_from_zeros(op, args, kwargs)
        if inference is not None and inference.smallest_droppable > self.real_up_to:
            has_data = False
        self._count(op, inference, args, kwargs)
        if has_data or inference is None:
            host = self._compute(op, args, kwargs, {})
            return self.results.with_values(op, inference, host, args, kwargs)
        return self.results.without_values(op, inference, args, kwargs)

    def execute_on_host(self, op: Operation, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """Compute on the CPU if all values are known and the layout is CUDA's; else return `NOT_HANDLED`.

        No shape rule is evaluated: for a new signature that takes longer than most operations.
        """
        keeps_all = self.real_up_to == inf
        if not (keeps_all and op.has_cpu_layout) and not self._is_worth_computing(op, args):
            return NOT_HANDLED
        host_args = host_values.known_values(args, self.ledger)
        if host_args is None:
            return NOT_HANDLED
        options = host_values.known_values(kwargs.values(), self.ledger) if kwargs else ()
        if options is None:
            return NOT_HANDLED
        host_kwargs = dict(zip(kwargs, options, strict=True)) if kwargs else _NO_OPTIONS
        if op.rules:
            self.note_syncs(op.full_name, op.bind(args, kwargs))
        host = self._run_on_host(op, host_args, host_kwargs)
        cell = self.ledger.cell()
        if op.launches:
            cell.add_operation(op.full_name, args, kwargs)
        if op.is_unknown:
            self.ledger.unmodelled.add(op.full_name)
        if op.is_product:
            self.ledger.note_product()
        if op.has_flops:
            cell.add_flops(flops_of(op.overload, host_args, host_kwargs, host), _product_dtype(args))
        layout = convolution_layout(args[0].metadata, args[1].metadata, host.shape) if op.is_convolution else None
        return self.results.from_host(op, layout, host, args, kwargs)

    def _is_worth_computing(self, op: Operation, args: Sequence[Any]) -> bool:
        """Return whether the CPU's result has CUDA's layout and, by the size of the first operand, is kept."""
        first: Any = args[0] if args else None
        is_tensor = type(first) is SimulatedTensor
        if not op.has_cpu_layout:
            is_float = is_tensor and first.metadata.dtype == torch.float32
            if not (is_float and op.has_cpu_layout_in_float32):
                return False
        return self.real_up_to == inf or (is_tensor and first.metadata.numel <= self.real_up_to)

    def _run_on_host(self, op: Operation, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        on_host = self.handlers.on_host.get(op.name)
        return op.call(*args, **kwargs) if on_host is None else on_host(op.bind(args, kwargs))

    def _check(
        self, op: Operation, tensors: Sequence[torch.Tensor], args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> bool:
        """Raise what CUDA raises, note the syncs, and return whether all values that are read are known."""
        has_data = check_tensors(op, tensors, self.ledger)
        check_generator(kwargs.get("generator"), self.generators)
        if op.rules:
            self.note_syncs(op.full_name, op.bind(args, kwargs))
        return has_data or op.is_factory

    def _count(
        self, op: Operation, inference: Inference | None, args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> None:
        cell = self.ledger.cell()
        if op.launches:
            cell.add_operation(op.full_name, args, kwargs)
        if op.is_product:
            self.ledger.note_product()
        if inference is not None and inference.flops is not None:
            cell.add_flops(inference.flops, _product_dtype(args))
        if op.is_unknown:
            self.ledger.unmodelled.add(op.full_name)

    def _compute(
        self, op: Operation, args: Sequence[Any], kwargs: Mapping[str, Any], placeholders: Mapping[int, torch.Tensor]
    ) -> Any:
        """Compute the values on the CPU; `placeholders` replace operands by identity."""
        if op.may_reshape:
            for position in op.writes:
                host_values.make_resizable(op.argument(position, args, kwargs))
        host_args = [host_values.on_host(one, placeholders) for one in args]
        host_kwargs = {name: host_values.on_host(one, placeholders) for name, one in kwargs.items()}
        return self._run_on_host(op, host_args, host_kwargs)

    def note_syncs(self, name: str, operands: dict[str, Any]) -> None:
        """Note each sync that CUDA makes in a call.

        Args:
            name: the full name, such as `aten.index.Tensor`.
            operands: all operands by name.
        """
        call = Call(name, operands)
        for rule in rules_for(name):
            if count := rule.syncs(call):
                shown = ".".join(name.split(".")[:2]) if name.startswith("aten.") else name
                self.ledger.note_sync(rule.kind, shown, is_reported=rule.is_reported, count=count)

    def execute_with_values(
        self, op: Operation, needed: Sequence[torch.Tensor], args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> Any:
        """Run an operation whose result, or its size, depends on the values of the operands in `needed`."""
        tensors = host_values.tensors_in(args, kwargs)
        self._check(op, tensors, args, kwargs)
        lost = [tensor for tensor in needed if not host_values.has_data(tensor)]
        if lost:
            self._refuse_or_note(op.name)
            if op.name in host_values.ANSWERED_WITH_FALSE:
                return False
        placeholders = {id(tensor): host_values.placeholder_for(tensor) for tensor in lost}
        if all(id(tensor) in placeholders or host_values.has_data(tensor) for tensor in tensors):
            self._count(op, None, args, kwargs)
            host = self._compute(op, args, kwargs, placeholders)
            return self.results.with_values(op, None, host, args, kwargs)
        overload, args = host_values.without_masks(op, args, placeholders)
        return self._execute_without_syncs(operation(overload), args)

    def _execute_without_syncs(self, op: Operation, args: Sequence[Any]) -> Any:
        """Run an operation without values in place of another, whose syncs are noted already."""
        key: list[Any] = [op.overload]
        describe(args, key, [])
        inference = infer(op, tuple(key), args, {})
        assert inference is not None  # noqa: S101 - torch has shape rules for indexing by position
        self._count(op, inference, args, {})
        return self.results.without_values(op, inference, args, {})

    def _refuse_or_note(self, name: str) -> None:
        if not self.placeholder_values:
            where = self.ledger.users_line()
            message = (
                f"{name} at {where} ({where.source}) reads a value that does not exist: it depends on a tensor that "
                f"kept only its shape. Keep larger tensors with SimulatedGPU(real_up_to=...), now "
                f"{self.real_up_to} elements (math.inf keeps all), or read zeros instead with "
                f"SimulatedGPU(placeholder_values=True)"
            )
            raise SimulationError(message)
        self.ledger.note_placeholders(name)

    def wrap_result(self, host: torch.Tensor) -> SimulatedTensor:
        """Count one operation that the CPU has computed, and wrap its result."""
        self.ledger.cell().add_kernel()
        return self.results.new(None, host)

    def read_all(self, tensor: SimulatedTensor, name: str) -> torch.Tensor:
        """Copy all values of a tensor to the host: one sync.

        Raises:
            SimulationError: the values do not exist, and placeholder values are not allowed.
        """
        self.note_syncs(name, {"self": tensor})
        self.ledger.cell().bytes_to_host += tensor.metadata.numel * tensor.metadata.dtype.itemsize
        if tensor.has_data and tensor.host_data is not None:
            return tensor.host_data
        self._refuse_or_note(name)
        return host_values.placeholder_for(tensor)

    def print_placeholder(self, tensor: SimulatedTensor, show: Callable[[torch.Tensor], object]) -> None:
        """Count what printing a tensor without values costs, by printing one with arbitrary values."""
        host = host_values.arbitrary_values(tensor)
        kept, self.real_up_to, self.results.real_up_to = self.real_up_to, inf, inf
        try:
            show(make(Metadata.of_tensor(host), self.ledger.allocate(0, has_data=True), host))
        finally:
            self.real_up_to = self.results.real_up_to = kept


def _product_dtype(args: Sequence[Any]) -> torch.dtype | None:
    """Return the dtype that an operation with FLOPs multiplies: the second operand's; `addmm` only adds the first."""
    tensors = [one for one in args[:2] if isinstance(one, torch.Tensor)]
    return tensors[-1].dtype if tensors else None


def _decompose(dispatcher: Dispatcher, op: Operation, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """Run a composite operation, which reaches a device only in inference mode."""
    if op.rules:
        dispatcher.note_syncs(op.full_name, op.bind(args, kwargs))
    return run_composite(op.overload, args, kwargs)


def _with_values(dispatcher: Dispatcher, op: Operation, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """Run an operation that may depend on the values of operands."""
    needed = host_values.NEEDED[op.name](Call(op.full_name, op.bind(args, kwargs)))
    if needed:
        return dispatcher.execute_with_values(op, needed, args, kwargs)
    return dispatcher.execute(op, args, kwargs)
