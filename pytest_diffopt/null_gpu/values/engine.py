"""One operation on the null GPU, with its values."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch

from pytest_diffopt.null_gpu.counters import muted
from pytest_diffopt.null_gpu.errors import MissingValueError, NullGpuError
from pytest_diffopt.null_gpu.values.answering import answered, reading_memory
from pytest_diffopt.null_gpu.values.arguments import (
    cuda_tensors,
    makes_cuda_tensors,
    random_state,
    read_tensors,
    target_device,
    written_tensors,
)
from pytest_diffopt.null_gpu.values.dispatch_key import run_seen
from pytest_diffopt.null_gpu.values.host_calls import (
    HostCall,
    RandomState,
    first_shapes,
    host_kwargs,
    new_host_views,
    on_host,
    store,
)
from pytest_diffopt.null_gpu.values.layouts import Layouts
from pytest_diffopt.null_gpu.values.missing import MissingValues, Origin, calling_line
from pytest_diffopt.null_gpu.values.operations import Kind, Plan, plan_for
from pytest_diffopt.null_gpu.values.read_tape import amend_last_read
from pytest_diffopt.null_gpu.values.resident_memory import ResidentLimit
from pytest_diffopt.null_gpu.values.torch_internals import host_view, is_plain
from pytest_diffopt.null_gpu.values.work import next_number, remember

_MIB = 2**20
COPY_LIMIT_BYTES = 4 * _MIB  # as csrc/copies.c
_SMALL_BYTES = _MIB
# What torch raises where a number that its kernels should have written makes no sense.
_TORCH_ERRORS = (RuntimeError, IndexError, ValueError)
_COMPILED = (
    "compiled code has the values of the graphs that Inductor was given; its generated kernels were not computed"
)


@dataclass(kw_only=True, slots=True)
class ValueReport:
    """What was not as on a GPU.

    Attributes:
        uncomputed: operations that the CPU could not compute, and why; what they should have written has no value.
        replaced: operations whose CUDA code failed without the numbers that its kernels should have written, and the
            error; the CPU's result is used instead, and memory figures may differ.
        zeros_read: the lines that copied a large tensor without values to the host and got zeros.
        has_compiled_graphs: whether code of Inductor ran; its values are those of the graph that Inductor was given.
    """

    uncomputed: dict[str, str] = field(default_factory=dict)
    replaced: dict[str, str] = field(default_factory=dict)
    zeros_read: Counter[str] = field(default_factory=Counter)
    has_compiled_graphs: bool = False

    def notes(self) -> tuple[str, ...]:
        """Return what was not as on a GPU, in sentences."""
        return (
            *(f"{name} was not computed: {why}" for name, why in sorted(self.uncomputed.items())),
            *(f"{name} was replaced by the CPU's result: {why}" for name, why in sorted(self.replaced.items())),
            *((_COMPILED,) if self.has_compiled_graphs else ()),
            *(f"zeros were read at {line} ({count} times)" for line, count in sorted(self.zeros_read.items())),
        )


class Engine:
    """Runs operations and computes their values."""

    def __init__(self, *, limit_bytes: int, resident_limit_bytes: int) -> None:
        """Start with all values known.

        Args:
            limit_bytes: the largest tensor that has values.
            resident_limit_bytes: the resident memory at which the run ends.
        """
        self.report = ValueReport()
        self.missing = MissingValues()
        self._layouts = Layouts()
        self.tape: list[HostCall] | None = None
        self.limit_bytes = limit_bytes
        self.copied_bytes = max(limit_bytes, COPY_LIMIT_BYTES)
        self._resident = ResidentLimit(resident_limit_bytes)
        self._plans: dict[Any, Plan] = {}
        self.learns_work = False
        self._computes_later = False

    @contextmanager
    def computing_later(self) -> Iterator[None]:
        """Run operations as the GPU would: the caller computes what they write. Work is learned all the same.

        Learning may begin within the block, where Inductor captures a CUDA graph.
        """
        self._computes_later = True
        try:
            yield
        finally:
            self._computes_later = False

    def run(self, operation: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Run an operation as the GPU would, and compute what it writes."""
        if not self.learns_work:
            return self._run(operation, args, kwargs)
        number = next_number()
        result = self._run(operation, args, kwargs)
        remember(number, operation, args, kwargs, result)
        return result

    def _run(self, operation: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if self._computes_later:
            return operation(*args, **kwargs)
        tensors = cuda_tensors(args, kwargs)
        if not tensors and not makes_cuda_tensors(kwargs):
            return operation(*args, **kwargs)
        if not all(map(is_plain, tensors)):
            return operation(*args, **kwargs)
        plan = self._plans.get(operation)
        if plan is None:
            plan = self._plans[operation] = plan_for(operation)
        _require_strided(plan, tensors)
        if plan.kind is Kind.SCALAR_READ:
            self.require(args[0], plan.name)
            with reading_memory():
                return operation(*args, **kwargs)
        if plan.kind is Kind.COPY:
            return self._copy(operation, plan, args, kwargs)
        return self._generic(operation, plan, args, kwargs, tensors)

    def require(self, tensor: torch.Tensor, reader: str) -> None:
        """Check that a tensor has values.

        Raises:
            MissingValueError: it has none.
        """
        origin = self.missing.origin(tensor)
        if origin is not None:
            msg = (
                f"{reader} at {calling_line()} reads a value that does not exist on the null GPU: {origin}. "
                "Compute all values (values=all) at a smaller scale, or do not read this one."
            )
            raise MissingValueError(msg)

    # ---- copies

    def _copy(self, operation: Any, plan: Plan, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        source: torch.Tensor = args[1] if plan.written else args[0]
        origin = self.missing.origin(source) if source.is_cuda else None
        target_is_host = not (args[0].is_cuda if plan.written else target_device(source, kwargs) == "cuda")
        if target_is_host and origin is not None and source.nbytes <= _SMALL_BYTES:
            self.require(source, plan.name)
        with reading_memory():
            target: torch.Tensor = operation(*args, **kwargs)
        if target.is_cuda:
            origin = origin or self._too_large(plan, (target,))
            call = HostCall(function=torch.Tensor.copy_, args=(host_view(target), on_host(source)), kwargs={})
            self.finish(plan.name, origin, call, written=(target,))
        elif origin is not None:
            self.report.zeros_read[calling_line()] += 1
            if not self._is_read_as_zeros(source, target):
                target.zero_()
        elif not self._is_read_as_zeros(source, target):
            target.copy_(host_view(source))  # a copy that converts was computed by a kernel
            amend_last_read(target)
        return target

    def _is_read_as_zeros(self, source: torch.Tensor, target: torch.Tensor) -> bool:
        """Return whether the host got zeros already, in memory that an offloaded model never takes.

        A tensor of this size has no values, or was never written.
        """
        return min(source.nbytes, target.nbytes) > self.copied_bytes

    # ---- all else

    def _generic(
        self,
        operation: Any,
        plan: Plan,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        tensors: tuple[torch.Tensor, ...],
    ) -> Any:
        origin = self._why_not(plan, read_tensors(plan, args, kwargs) if plan.overwrites else tensors)
        numbers = self._answers(plan, args)
        random = random_state(args, kwargs) if plan.is_random else None
        run = run_seen if plan.is_seen_inside and tensors else _run_unseen
        try:
            with answered(numbers) as reads:
                result = run(operation, args, kwargs)
        except _TORCH_ERRORS as error:
            if origin is not None or not reads.unanswered:
                raise  # nothing was missing: it is an error on a GPU, too
            return self._replace(plan, args, kwargs, random, error)
        if isinstance(result, (bool, int, float)):
            return self._number(plan, args, kwargs, result)
        written = cuda_tensors((result,), {})
        if plan.written:
            written += tuple(written_tensors(plan, args, kwargs))
        _require_strided(plan, written)
        origin = origin or self._too_large(plan, written)
        if origin is not None:
            self.finish(plan.name, origin, None, written=written)
            return result
        call = self._host_call(plan, args, kwargs, random, new_host_views(result, plan.makes))
        replacement = self.finish(plan.name, None, call, written=written)
        return result if replacement is None else replacement

    def _number(self, plan: Plan, args: tuple[Any, ...], kwargs: dict[str, Any], of_cuda: Any) -> Any:
        for tensor in cuda_tensors(args, kwargs):
            self.require(tensor, plan.name)
        try:
            return self._host_call(plan, args, kwargs, None, ()).compute()
        except NotImplementedError:
            return of_cuda  # a question about CUDA's libraries

    def _why_not(self, plan: Plan, read: tuple[torch.Tensor, ...]) -> Origin | None:
        for tensor in read:
            origin = self.missing.origin(tensor)
            if origin is not None:
                return origin
        return self._too_large(plan, read)

    def _too_large(self, plan: Plan, tensors: tuple[torch.Tensor, ...]) -> Origin | None:
        limit = self.limit_bytes
        for tensor in tensors:
            if tensor.nbytes > limit:
                break
        else:
            return None
        reason = f"its tensors are larger than {self.limit_bytes / _MIB:.0f} MiB"
        return Origin(operation=plan.name, location=calling_line(), reason=reason)

    def _answers(self, plan: Plan, args: tuple[Any, ...]) -> list[int]:
        if plan.answers is None:
            return []
        for tensor in plan.answers.reads(args):
            if not tensor.is_cuda:
                continue
            self.require(tensor, plan.name)
        return plan.answers.numbers(on_host(args))

    def finish(
        self, name: str, origin: Origin | None, call: HostCall | None, *, written: tuple[torch.Tensor, ...]
    ) -> Any:
        """Compute, or list what was written as missing; return a result that replaces the GPU's, or None."""
        replacement = None
        if origin is None and call is not None:
            origin, replacement = self._compute(name, call, written)
        for tensor in written:
            if origin is None:
                self.missing.written(tensor)
            else:
                self.missing.add(tensor, origin)
        return replacement

    def _compute(self, name: str, call: HostCall, written: tuple[torch.Tensor, ...]) -> tuple[Origin | None, Any]:
        self._resident.check()
        try:
            computed = call.compute()
        except (RuntimeError, TypeError, NotImplementedError) as error:
            reason = str(error).partition("\n")[0]
            self.report.uncomputed.setdefault(name, reason)
            return Origin(operation=name, location=calling_line(), reason=f"the CPU cannot: {reason}"), None
        shapes = first_shapes(computed, call.outputs)
        if shapes and shapes[0] != shapes[1]:
            self.report.replaced.setdefault(name, f"{shapes[1]} instead of {shapes[0]}")
            return None, _on_gpu(computed)
        store(computed, call.outputs)
        if call.outputs:
            self._layouts.remember(computed, written)
        if self.tape is not None:
            self.tape.append(call)
        return None, None

    def _replace(
        self,
        plan: Plan,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        random: RandomState | None,
        error: Exception,
    ) -> Any:
        try:
            computed = self._host_call(plan, args, kwargs, random, ()).compute()
        except (RuntimeError, TypeError):
            raise error from None  # the CPU refuses too: it is the caller's error
        self.report.replaced.setdefault(plan.name, str(error).partition("\n")[0])
        return next(iter(written_tensors(plan, args, kwargs))) if plan.written else _on_gpu(computed)

    def _host_call(
        self,
        plan: Plan,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        random: RandomState | None,
        outputs: tuple[torch.Tensor | None, ...],
    ) -> HostCall:
        host_args = on_host(args)
        if not plan.written:
            host_args = self._layouts.apply(args, host_args)
        return HostCall(
            function=plan.compute,
            args=host_args,
            kwargs=host_kwargs(kwargs),
            outputs=outputs,
            random=random,
            takes_generator=plan.takes_generator,
        )


def _require_strided(plan: Plan, tensors: tuple[torch.Tensor, ...]) -> None:
    if not all(tensor.layout is torch.strided for tensor in tensors):
        msg = (
            f"{plan.name} at {calling_line()} uses a sparse tensor; sparse tensors have no values on the null GPU: "
            "make them dense, or use values=none"
        )
        raise NullGpuError(msg)


def _run_unseen(operation: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    return operation(*args, **kwargs)


def _on_gpu(value: Any) -> Any:
    if isinstance(value, torch.Tensor):
        with muted():
            moved = torch.empty_strided(value.shape, value.stride(), dtype=value.dtype, device="cuda")
        host_view(moved).copy_(value)
        return moved
    return type(value)(map(_on_gpu, value)) if isinstance(value, (list, tuple)) else value
