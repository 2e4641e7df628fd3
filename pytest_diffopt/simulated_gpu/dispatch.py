"""How one operation on simulated tensors is carried out: what it waits for, what it yields, what it costs."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch._ops import OpOverload

from pytest_diffopt.errors import SimulationError

from . import _torch_private as private
from . import values
from .accounting import Ledger
from .cuda_semantics import Call
from .operations import NEW, VIEW, Operation, operation
from .records import SyncKind
from .shapes import Inference, describe, infer
from .tensor import Metadata, SimulatedTensor, become, make

Handler = Callable[["Dispatcher", Operation, Sequence[Any], Mapping[str, Any]], Any]
HANDLERS: dict[str, Handler] = {}  # operations with a way of their own: copies, attention


class Dispatcher:
    """Carries operations out while one simulated GPU is entered.

    Attributes:
        ledger: where everything is counted.
        attention: carries out `scaled_dot_product_attention` (an `AttentionRunner`).
        real_up_to: floating tensors of more elements keep only their shape.
        invent_values: whether a value that does not exist is answered with zero and noted, instead of an error.
    """

    def __init__(self, ledger: Ledger, attention: Any, *, real_up_to: float, invent_values: bool) -> None:
        self.ledger = ledger
        self.attention = attention
        self.real_up_to = real_up_to
        self.invent_values = invent_values
        self.generators: dict[int, torch.Generator] = {}  # kept alive: an identity is an address
        self._operations: dict[OpOverload, tuple[Operation, Handler | None]] = {}

    def run(self, overload: OpOverload, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """Carry one operation out."""
        known = self._operations.get(overload)
        if known is None:
            known = self._learn(overload)
        facts, handler = known
        if handler is not None:
            return handler(self, facts, args, kwargs)
        return self.carry_out(facts, args, kwargs)

    def _learn(self, overload: OpOverload) -> tuple[Operation, Handler | None]:
        facts = operation(overload)
        handler = HANDLERS.get(facts.name)
        if handler is None and facts.is_composite:
            handler = _compose
        known = self._operations[overload] = facts, handler
        return known

    def carry_out(self, facts: Operation, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """Carry out an operation that runs on the device."""
        key: list[Any] = [facts.overload]
        tensors: list[torch.Tensor] = []
        describe(args, key, tensors)
        for name, value in kwargs.items():
            key.append(name)
            describe((value,), key, tensors)
        has_data = self._check(facts, tensors, kwargs)
        if facts.rules:
            self._wait(facts, args, kwargs)
        if facts.is_foreign:
            self.ledger.unmodelled.add(facts.full_name)
        if facts.name in values.NEEDED:
            needed = values.NEEDED[facts.name](Call(facts.full_name, facts.bind(args, kwargs)))
            if needed:
                return self._with_values(facts, needed, args, kwargs, has_data=has_data)
        return self._finish(facts, infer(facts, tuple(key), args, kwargs), args, kwargs, has_data=has_data)

    def _check(self, facts: Operation, tensors: list[torch.Tensor], kwargs: Mapping[str, Any]) -> bool:
        """Refuse what CUDA refuses, and tell whether all values are known."""
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
            message = (
                f"Expected a '{private.DEVICE_TYPE}' device type for generator but found '{generator.device.type}'"
            )
            raise RuntimeError(message)
        return has_data or facts.is_factory

    def _wait(self, facts: Operation, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
        call = Call(facts.full_name, facts.bind(args, kwargs))
        for rule in facts.rules:
            self.ledger.note_sync(rule.kind, facts.name, is_reported=rule.is_reported, count=rule.waits(call))

    def _with_values(
        self,
        facts: Operation,
        needed: list[torch.Tensor],
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
        *,
        has_data: bool,
    ) -> Any:
        """Carry out an operation whose result or its size hangs on values."""
        stand_ins: dict[int, torch.Tensor] = {}
        for tensor in needed:
            if not (tensor.has_data if isinstance(tensor, SimulatedTensor) else not tensor.is_meta):
                self.refuse_or_note(facts.name)
                if facts.name in values.ANSWERED_WITH_FALSE:
                    return False
                stand_ins[id(tensor)] = values.stand_in(tensor)
        if stand_ins and all(id(one) in stand_ins or _has_data(one) for one in values.tensors_in(args, kwargs)):
            has_data = True
        if has_data:
            return self._finish(facts, None, args, kwargs, has_data=True, stand_ins=stand_ins)
        overload, args = values.without_masks(facts, args, stand_ins)
        return self._quietly(overload, args)

    def _quietly(self, overload: OpOverload, args: Sequence[Any]) -> Any:
        """Carry out an operation that stands for another whose waits are noted already."""
        facts = operation(overload)
        key: list[Any] = [overload]
        describe(args, key, [])
        return self._finish(facts, infer(facts, tuple(key), args, {}), args, {}, has_data=False)

    def refuse_or_note(self, name: str) -> None:
        """Refuse to hand out a value that does not exist, or note that it is invented.

        Raises:
            SimulationError: values are not to be invented.
        """
        if not self.invent_values:
            where = self.ledger.users_line()
            message = (
                f"{name} at {where} ({where.source}) reads a value that does not exist: it comes from a tensor that kept "
                f"only its shape. Keep larger tensors with SimulatedGPU(real_up_to=...), now {self.real_up_to} elements "
                f"(math.inf keeps all), or let zero stand for it with SimulatedGPU(invent_values=True)"
            )
            raise SimulationError(message)
        self.ledger.note_invented(name)

    def read_all(self, tensor: SimulatedTensor, name: str) -> torch.Tensor:
        """Hand all values of a tensor to the host: one copy."""
        if tensor.metadata.numel:
            self.ledger.note_sync(SyncKind.READ, name, is_reported=True)
            self.ledger.cell().bytes_to_host += tensor.metadata.numel * tensor.metadata.dtype.itemsize
        if tensor.has_data and tensor.host_data is not None:
            return tensor.host_data
        if name != "Tensor.__repr__":
            self.refuse_or_note(name)
        return values.stand_in(tensor)

    def _finish(
        self,
        facts: Operation,
        inference: Inference | None,
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
        *,
        has_data: bool,
        stand_ins: Mapping[int, torch.Tensor] | None = None,
    ) -> Any:
        """Compute the values where they are known, count the work, and wrap the results."""
        cell = self.ledger.cell()
        if facts.launches:
            cell.operations += 1
        if inference is not None:
            cell.flops += inference.flops
            if inference.smallest_loss > self.real_up_to:
                has_data = False
        elif not has_data:
            inference = self._learn_from_zeros(facts, args, kwargs)
        if not has_data:
            return self._without_values(facts, inference, args, kwargs)  # type: ignore[arg-type] # known by now
        out = facts.overload(
            *[values.on_host(one, stand_ins) for one in args],
            **{name: values.on_host(one, stand_ins) for name, one in kwargs.items()},
        )
        return self._with_results(facts, inference, out, args, kwargs)

    def _learn_from_zeros(self, facts: Operation, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Inference:
        """Find shapes for which torch has no rule by running the operation on zeros, on the CPU."""
        self.ledger.unmodelled.add(facts.full_name)
        return values.infer_from_zeros(facts, args, kwargs)

    def _without_values(
        self, facts: Operation, inference: Inference, args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> Any:
        targets = [
            one for position in facts.writes for one in values.tensors_in((facts.argument(position, args, kwargs),), {})
        ]
        for target, metadata in zip(targets, inference.written, strict=True):
            if isinstance(target, SimulatedTensor):
                target.allocation.has_data = False
                if target.metadata is not metadata:
                    self._reshape(target, metadata, None)
        results = [
            self._wrap(facts.argument(position, args, kwargs), kind, result, None)
            for (kind, position), result in zip(facts.returns, inference.results, strict=True)
        ]
        return _packed(results, is_single=inference.is_single)

    def _with_results(
        self, facts: Operation, inference: Inference | None, out: Any, args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> Any:
        if facts.may_reshape:
            for position in facts.writes:
                for target in values.tensors_in((facts.argument(position, args, kwargs),), {}):
                    self._follow_host(target)
        is_single = len(facts.returns) <= 1
        outs = (out,) if is_single else tuple(out)
        expected = inference.results if inference is not None else (None,) * len(outs)
        results = [
            self._wrap(facts.argument(position, args, kwargs), kind, metadata, one)
            for (kind, position), metadata, one in zip(facts.returns, expected, outs, strict=False)
        ]
        return _packed(results, is_single=is_single)

    def _wrap(self, operand: Any, kind: int, expected: Any, host: Any) -> Any:
        """Make one result: `expected` is its metadata where known, `host` its values where known."""
        if kind != NEW and kind != VIEW:
            return operand
        if isinstance(host, list | tuple) or (host is None and isinstance(expected, list)):
            many = host if host is not None else [None] * len(expected)
            wanted = expected if isinstance(expected, list) else [None] * len(many)
            return [self._wrap(operand, kind, one, value) for one, value in zip(wanted, many, strict=True)]
        if host is None and not isinstance(expected, Metadata):
            return expected
        if host is not None and not isinstance(host, torch.Tensor):
            return host
        if kind == VIEW:
            metadata = Metadata.of_tensor(host) if host is not None else expected
            return make(metadata, operand.allocation, host)
        return self.new(expected, host)

    def new(self, metadata: Metadata | None, host: torch.Tensor | None) -> SimulatedTensor:
        """Make a tensor with memory of its own, laid out as CUDA would; its values are dropped when it is large."""
        if host is not None:
            if metadata is None or metadata.shape != host.shape:
                metadata = Metadata.of_tensor(host)
            if metadata.can_lose_data and metadata.numel > self.real_up_to:
                host = None
            elif metadata.stride != host.stride() or metadata.dtype != host.dtype or host.storage_offset():
                host = torch.empty_strided(metadata.shape, metadata.stride, dtype=metadata.dtype).copy_(host)
        assert metadata is not None  # noqa: S101 - our own invariant: shape or values are known
        if metadata.offset:
            metadata = Metadata.of(metadata.shape, metadata.stride, 0, metadata.dtype)
        allocation = self.ledger.allocate(metadata.nbytes, has_data=host is not None)
        return make(metadata, allocation, host)

    def _follow_host(self, target: torch.Tensor) -> None:
        """Give a tensor the shape that its values on the host have taken."""
        if isinstance(target, SimulatedTensor) and target.host_data is not None:
            metadata = Metadata.of_tensor(target.host_data)
            if metadata is not target.metadata:
                self._reshape(target, metadata, target.host_data)

    def _reshape(self, target: SimulatedTensor, metadata: Metadata, host: torch.Tensor | None) -> None:
        missing = metadata.nbytes - target.allocation.nbytes
        if missing > 0:
            target.allocation = self.ledger.allocate(metadata.nbytes, has_data=host is not None)
        become(target, make(metadata, target.allocation, host))


def _compose(dispatcher: Dispatcher, facts: Operation, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """Carry out, in inference mode, what torch takes apart before it gets here in every other mode."""
    del dispatcher
    return private.run_composite(facts.overload, args, kwargs)


def _has_data(tensor: torch.Tensor) -> bool:
    return tensor.has_data if isinstance(tensor, SimulatedTensor) else not tensor.is_meta


def _packed(results: list[Any], *, is_single: bool) -> Any:
    if is_single:
        return results[0] if results else None
    return tuple(results)


def _refuse_host_tensor(facts: Operation, tensor: torch.Tensor) -> None:
    message = (
        f"Expected all tensors to be on the same device, but found at least two devices, {private.DEVICE_TYPE}:0 and "
        f"{tensor.device}! (when carrying out {facts.full_name})"
    )
    raise RuntimeError(message)
