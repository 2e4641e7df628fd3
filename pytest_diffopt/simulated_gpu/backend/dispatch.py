"""How one operation on simulated tensors is carried out: what it waits for, what it costs, what it yields."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import inf
from types import MappingProxyType
from typing import Any

import torch
from torch._ops import OpOverload

from pytest_diffopt._torch_private import simulated_device as private
from pytest_diffopt.errors import SimulationError
from pytest_diffopt.simulated_gpu.backend import host_values
from pytest_diffopt.simulated_gpu.backend.operation_schemas import Operation, operation
from pytest_diffopt.simulated_gpu.backend.results import Results
from pytest_diffopt.simulated_gpu.backend.tensor import Metadata, SimulatedTensor, make
from pytest_diffopt.simulated_gpu.cost.accounting import Ledger
from pytest_diffopt.simulated_gpu.cuda.layouts import Inference, convolution_layout, describe, infer
from pytest_diffopt.simulated_gpu.cuda.sync_conditions import Call
from pytest_diffopt.simulated_gpu.cuda.sync_table import rules_for

NOT_DONE = object()
_NO_OPTIONS: Mapping[str, Any] = MappingProxyType({})
Handler = Callable[["Dispatcher", Operation, Sequence[Any], Mapping[str, Any]], Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class Handlers:
    """How operations are carried out that go a way of their own.

    Attributes:
        by_operation: what carries an operation out from beginning to end.
        on_host: what the CPU computes, given all operands by name, in place of an operation that only CUDA has.
        attention: what carries `scaled_dot_product_attention` out.
    """

    by_operation: Mapping[str, Handler]
    on_host: Mapping[str, Callable[[dict[str, Any]], Any]]
    attention: Callable[..., Any]


class Dispatcher:
    """Carries operations out while one simulated GPU is entered.

    Attributes:
        ledger: where everything is counted.
        handlers: how operations are carried out that go a way of their own.
        real_up_to: floating tensors of more elements keep only their shape.
        placeholder_values: whether a value that does not exist is answered with zero and noted, instead of an error.
        results: makes tensors on the device.
        generators: the device's random generators by identity, which is an address: they are kept alive.
    """

    def __init__(self, ledger: Ledger, handlers: Handlers, *, real_up_to: float, placeholder_values: bool) -> None:
        self.ledger = ledger
        self.handlers = handlers
        self.real_up_to = real_up_to
        self.placeholder_values = placeholder_values
        self.results = Results(ledger, real_up_to)
        self.generators: dict[int, torch.Generator] = {}
        # By identity, which lives as long as torch: the hash of an overload is worked out in Python.
        self._known: dict[int, tuple[Operation, Handler | None]] = {}

    def run(self, overload: OpOverload, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """Carry one operation out."""
        known = self._known.get(id(overload))
        if known is None:
            known = self._known[id(overload)] = self._learn(overload)
        facts, handler = known
        if handler is not None:
            return handler(self, facts, args, kwargs)
        return self.carry_out(facts, args, kwargs)

    def _learn(self, overload: OpOverload) -> tuple[Operation, Handler | None]:
        facts = operation(overload)
        handler = self.handlers.by_operation.get(facts.name)
        if handler is None and facts.is_composite:
            handler = _compose
        elif handler is None and facts.name in host_values.NEEDED:
            handler = _with_values
        return facts, handler

    def carry_out(self, facts: Operation, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """Carry out an operation that runs on the device."""
        done = self.carry_out_at_once(facts, args, kwargs)
        return done if done is not NOT_DONE else self._carry_out_by_rule(facts, args, kwargs)

    def _carry_out_by_rule(self, facts: Operation, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """Carry out what torch's shape rules lay out."""
        key: list[Any] = [facts.overload]
        tensors: list[torch.Tensor] = []
        describe(args, key, tensors)
        for name, value in kwargs.items():
            key.append(name)
            describe((value,), key, tensors)
        has_data = self.check(facts, tensors, args, kwargs)
        inference = infer(facts, tuple(key), args, kwargs)
        if inference is None and not has_data:
            # No shape rule: the CPU's own, found with zeros.
            self.ledger.unmodelled.add(facts.full_name)
            inference = host_values.infer_from_zeros(facts, args, kwargs)
        if inference is not None and inference.smallest_loss > self.real_up_to:
            has_data = False
        if has_data or inference is None:
            return self._compute_and_wrap(facts, inference, args, kwargs)
        self._count(facts, inference)
        return self.results.without_values(facts, inference, args, kwargs)

    def carry_out_at_once(self, facts: Operation, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """Let the CPU compute what it lays out as CUDA does, if all values are known; else return `NOT_DONE`.

        No shape rule is asked: the first look at a signature would cost more than most operations do.
        """
        keeps_all = self.real_up_to == inf
        if not (keeps_all and facts.is_laid_out_alike) and not self._is_worth_computing(facts, args):
            return NOT_DONE
        host_args = host_values.known(args, self.ledger)
        if host_args is None:
            return NOT_DONE
        host_kwargs = _NO_OPTIONS
        if kwargs:
            options = host_values.known(kwargs.values(), self.ledger)
            if options is None:
                return NOT_DONE
            host_kwargs = dict(zip(kwargs, options, strict=True))
        if facts.rules:
            self.wait(facts.full_name, facts.bind(args, kwargs))
        host = self._run_on_host(facts, host_args, host_kwargs)
        cell = self.ledger.cell()
        if facts.launches:
            cell.operations += 1
        if not facts.has_flops:
            return self.results.at_once(facts, None, host, args, kwargs)
        cell.flops += private.flops_of(facts.overload, host_args, host_kwargs, host)
        layout = convolution_layout(args[0].metadata, args[1].metadata, host.shape) if facts.is_convolution else None
        return self.results.at_once(facts, layout, host, args, kwargs)

    def _is_worth_computing(self, facts: Operation, args: Sequence[Any]) -> bool:
        """Tell whether the CPU's result is laid out as CUDA's, and is kept as far as the first operand tells."""
        first: Any = args[0] if args else None
        is_tensor = type(first) is SimulatedTensor
        if not facts.is_laid_out_alike:
            is_float = is_tensor and first.metadata.dtype == torch.float32
            if not (is_float and facts.is_laid_out_alike_in_floats):
                return False
        return self.real_up_to == inf or (is_tensor and first.metadata.numel <= self.real_up_to)

    def _run_on_host(self, facts: Operation, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        on_host = self.handlers.on_host.get(facts.name)
        return facts.call(*args, **kwargs) if on_host is None else on_host(facts.bind(args, kwargs))

    def _compute_and_wrap(
        self, facts: Operation, inference: Inference | None, args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> Any:
        self._count(facts, inference)
        host = self._compute(facts, args, kwargs, {})
        return self.results.with_values(facts, inference, host, args, kwargs)

    def check(
        self, facts: Operation, tensors: Sequence[torch.Tensor], args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> bool:
        """Refuse what CUDA refuses, note the waits, and tell whether all values that the operation reads are known."""
        has_data = True
        ledger = self.ledger
        for tensor in tensors:
            if type(tensor) is SimulatedTensor:
                if tensor.allocation.ledger is not ledger:
                    message = f"{facts.full_name} was called on a tensor of a simulated GPU whose block has ended"
                    raise SimulationError(message)
                if not tensor.allocation.has_data:
                    has_data = False
            else:
                if tensor.dim() and not facts.takes_host_tensors:
                    _refuse_host_tensor(facts, tensor)
                if tensor.is_meta:
                    has_data = False
        generator = kwargs.get("generator")
        if generator is not None and private.generator_identity(generator) not in self.generators:
            device = generator.device.type
            message = f"Expected a '{private.DEVICE_TYPE}' device type for generator but found '{device}'"
            raise RuntimeError(message)
        if facts.rules:
            self.wait(facts.full_name, facts.bind(args, kwargs))
        return has_data or facts.is_factory

    def _count(self, facts: Operation, inference: Inference | None) -> None:
        cell = self.ledger.cell()
        if facts.launches:
            cell.operations += 1
        if inference is not None:
            cell.flops += inference.flops
        if facts.is_foreign:
            self.ledger.unmodelled.add(facts.full_name)

    def _compute(
        self,
        facts: Operation,
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
        stand_ins: Mapping[int, torch.Tensor],
    ) -> Any:
        """Let the CPU compute the host_values."""
        if facts.may_reshape:
            for position in facts.writes:
                host_values.let_grow(facts.argument(position, args, kwargs))
        host_args = [host_values.on_host(one, stand_ins) for one in args]
        host_kwargs = {name: host_values.on_host(one, stand_ins) for name, one in kwargs.items()}
        return self._run_on_host(facts, host_args, host_kwargs)

    def wait(self, name: str, operands: dict[str, Any]) -> None:
        """Note how often CUDA would make the CPU wait for this call; `name` is a full name, `aten.index.Tensor`."""
        call = Call(name, operands)
        for rule in rules_for(name):
            if count := rule.syncs(call):
                shown = ".".join(name.split(".")[:2]) if name.startswith("aten.") else name
                self.ledger.note_sync(rule.kind, shown, is_reported=rule.is_reported, count=count)

    def compute_with_values(
        self, facts: Operation, needed: Sequence[torch.Tensor], args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> Any:
        """Carry out an operation whose result, or its size, hangs on the values of some operands."""
        tensors = host_values.tensors_in(args, kwargs)
        self.check(facts, tensors, args, kwargs)
        lost = [tensor for tensor in needed if not host_values.has_data(tensor)]
        if lost:
            self.refuse_or_note(facts.name)
            if facts.name in host_values.ANSWERED_WITH_FALSE:
                return False
        stand_ins = {id(tensor): host_values.stand_in(tensor) for tensor in lost}
        if all(id(tensor) in stand_ins or host_values.has_data(tensor) for tensor in tensors):
            self._count(facts, None)
            host = self._compute(facts, args, kwargs, stand_ins)
            return self.results.with_values(facts, None, host, args, kwargs)
        overload, args = host_values.without_masks(facts, args, stand_ins)
        return self._carry_out_quietly(operation(overload), args)

    def _carry_out_quietly(self, facts: Operation, args: Sequence[Any]) -> Any:
        """Carry out an operation without values that stands for another, whose waits are noted already."""
        key: list[Any] = [facts.overload]
        describe(args, key, [])
        inference = infer(facts, tuple(key), args, {})
        assert inference is not None  # noqa: S101 - torch has rules for indexing by position
        self._count(facts, inference)
        return self.results.without_values(facts, inference, args, {})

    def refuse_or_note(self, name: str) -> None:
        """Refuse to hand out a value that does not exist, or note that it is invented.

        Raises:
            SimulationError: values are not to be invented.
        """
        if not self.placeholder_values:
            where = self.ledger.users_line()
            message = (
                f"{name} at {where} ({where.source}) reads a value that does not exist: it comes from a tensor that "
                f"kept only its shape. Keep larger tensors with SimulatedGPU(real_up_to=...), now "
                f"{self.real_up_to} elements (math.inf keeps all), or let zero stand for it with "
                f"SimulatedGPU(placeholder_values=True)"
            )
            raise SimulationError(message)
        self.ledger.note_placeholders(name)

    def take_in(self, host: torch.Tensor) -> SimulatedTensor:
        """Count one operation, which the CPU has carried out, and make its result."""
        self.ledger.cell().operations += 1
        return self.results.new(None, host)

    def read_all(self, tensor: SimulatedTensor, name: str) -> torch.Tensor:
        """Hand all values of a tensor to the host: one copy."""
        self.wait(name, {"self": tensor})
        self.ledger.cell().bytes_to_host += tensor.metadata.numel * tensor.metadata.dtype.itemsize
        if tensor.has_data and tensor.host_data is not None:
            return tensor.host_data
        self.refuse_or_note(name)
        return host_values.stand_in(tensor)

    def print_made_up(self, tensor: SimulatedTensor, show: Callable[[torch.Tensor], object]) -> None:
        """Do what printing a tensor does although its values are not known: the same with any values, then lost."""
        host = host_values.anything(tensor)
        kept, self.real_up_to, self.results.real_up_to = self.real_up_to, inf, inf
        try:
            show(make(Metadata.of_tensor(host), self.ledger.allocate(0, has_data=True), host))
        finally:
            self.real_up_to = self.results.real_up_to = kept


def _compose(dispatcher: Dispatcher, facts: Operation, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """Carry out, in inference mode, what torch takes apart before it gets here in every other mode."""
    if facts.rules:
        dispatcher.wait(facts.full_name, facts.bind(args, kwargs))
    return private.run_composite(facts.overload, args, kwargs)


def _with_values(dispatcher: Dispatcher, facts: Operation, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """Carry out an operation that may need host_values."""
    needed = host_values.NEEDED[facts.name](Call(facts.full_name, facts.bind(args, kwargs)))
    if needed:
        return dispatcher.compute_with_values(facts, needed, args, kwargs)
    return dispatcher.carry_out(facts, args, kwargs)


def _refuse_host_tensor(facts: Operation, tensor: torch.Tensor) -> None:
    message = (
        f"Expected all tensors to be on the same device, but found at least two devices, {private.DEVICE_TYPE}:0 and "
        f"{tensor.device}! (when carrying out {facts.full_name})"
    )
    raise RuntimeError(message)
