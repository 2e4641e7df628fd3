"""Comparison of every compiled module with its eager module, on the same inputs in the same call."""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass, replace
from typing import Any

import torch

from pytest_diffopt._torch_private.compiled_code import original_callable
from pytest_diffopt._torch_private.tensors import tolerances
from pytest_diffopt.errors import ProbeError
from pytest_diffopt.probes.compiled_calls import globals_of
from pytest_diffopt.probes.compiled_modules import CompiledPart, compiled_parts
from pytest_diffopt.probes.float64_reference import errors_against, in_float64
from pytest_diffopt.probes.graph_calls import GraphCalls
from pytest_diffopt.records import Float64Errors, NumericsRecord, OutputDifference, Subject, UncompiledCalls

_Call = Callable[..., Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class Tolerance:
    """Allowed difference of a compiled value: `absolute + relative x the largest absolute value of the eager output`.

    torch.testing scales by each value instead. The rounding error of a whole model scales with its largest values, so
    that in bfloat16 a quarter of the values near zero would fail.

    Attributes:
        relative: fraction of the largest absolute value of the eager output.
        absolute: allowed difference in addition to that.
    """

    relative: float
    absolute: float

    def __post_init__(self) -> None:
        """Refuse negative values and NaN."""
        if not (self.relative >= 0 and self.absolute >= 0):
            msg = f"a tolerance must not be negative, got: rtol={self.relative}, atol={self.absolute}"
            raise ProbeError(msg)


def compare_with_eager(  # noqa: PLR0913 - the call, its target and what is known of it are independent
    target: Any,
    call: Callable[[], object],
    subject: Subject,
    *,
    tolerance: Tolerance | None = None,
    call_instead: Callable[[_Call], object] | None = None,
    namespaces: Iterable[MutableMapping[str, Any]] = (),
) -> NumericsRecord:
    """Call once, running every compiled module, method and function also in eager mode, on copies of the same inputs.

    Args:
        target: the pipeline, module or compiled function.
        call: makes the call.
        subject: the pipeline.
        tolerance: allowed difference; None uses torch.testing's tolerances for the output's dtype.
        call_instead: makes the same call of another function; for a target that is a compiled function, which cannot be
            replaced where it is called.
        namespaces: the globals of Python modules with compiled functions, beside those of the target's own functions.

    Raises:
        ProbeError: nothing of the target is compiled.
    """
    __tracebackhide__ = True
    parts = _outermost(compiled_parts(target))
    if not parts:
        msg = f"no compiled module to compare with eager mode: nothing is compiled in {subject}"
        raise ProbeError(msg)
    with GraphCalls([*namespaces, *globals_of(parts)]) as graphs, ExitStack() as stack:
        comparison = _Comparison(tolerance, graphs)
        for part in parts:
            stack.enter_context(part.replaced(comparison.with_eager))
        if call_instead is not None and original_callable(target) is not None:
            call_instead(comparison.with_eager(parts[0].path, target, parts[0].function))
        else:
            call()
    compared = {module for module, _ in comparison.differences}
    return NumericsRecord(
        subject=subject,
        differences=tuple(comparison.differences.values()),
        silent=tuple(part.path for part in parts if part.path not in compared),
        uncompiled=tuple(
            UncompiledCalls(module=path, uncompiled=comparison.uncompiled[path], calls=calls)
            for path, calls in comparison.calls.items()
            if comparison.uncompiled[path]
        ),
    )


class _Comparison:
    """The comparison so far.

    Attributes:
        differences: one entry for each output of each module.
        calls: the number of calls of each module.
        uncompiled: how many of them called no compiled graph.
    """

    def __init__(self, tolerance: Tolerance | None, graphs: GraphCalls) -> None:
        self.differences: dict[tuple[str, str], OutputDifference] = {}
        self.calls: Counter[str] = Counter()
        self.uncompiled: Counter[str] = Counter()
        self._tolerance = tolerance
        self._graphs = graphs
        self._references: dict[str, _Call | None] = {}

    def with_eager(self, path: str, compiled: _Call, eager: _Call) -> _Call:
        """Return a call that compares the compiled result with the eager one, and returns the compiled one."""

        def both(*args: Any, **kwargs: Any) -> Any:
            __tracebackhide__ = True
            if torch.compiler.is_dynamo_compiling():  # another compiled part calls this one, and inlines it
                return compiled(*args, **kwargs)
            copies = _copied([args, kwargs])
            exact = self._exact(path, eager, args, kwargs)
            with _same_random_numbers(args, kwargs):
                expected = eager(*copies[0], **copies[1])
            graph_calls = self._graphs.count
            actual = compiled(*args, **kwargs)
            self.calls[path] += 1
            self.uncompiled[path] += self._graphs.count == graph_calls
            self._compare(path, dict(_tensors(actual)), dict(_tensors(expected)), dict(_tensors(exact)))
            return actual

        return both

    def _exact(self, path: str, eager: _Call, args: Any, kwargs: Any) -> Any:
        """Return the result in float64; None without a reference: the module is large, or raises in float64."""
        if path not in self._references:
            self._references[path] = in_float64(eager) if self._tolerance is None else None
        reference = self._references[path]
        if reference is None:
            return None
        try:
            with _same_random_numbers(args, kwargs):
                return reference(*args, **kwargs)
        except Exception:  # noqa: BLE001 - many modules support only the dtypes that they were written for
            self._references[path] = None
            return None

    def _compare(
        self,
        path: str,
        actual: Mapping[str, torch.Tensor],
        expected: Mapping[str, torch.Tensor],
        exact: Mapping[str, torch.Tensor],
    ) -> None:
        for name in {**expected, **actual}:
            found = _difference(path, name, actual.get(name), expected.get(name), self._tolerance)
            if name in exact and name in actual and name in expected and not found.problem:
                found = replace(found, float64=errors_against(exact[name], actual[name], expected[name]))
            known = self.differences.get((path, name))
            self.differences[path, name] = merged(known, found) if known else found


def _difference(
    path: str, name: str, actual: torch.Tensor | None, expected: torch.Tensor | None, tolerance: Tolerance | None
) -> OutputDifference:
    one = actual if expected is None else expected
    assert one is not None, "unreachable because the name is from one of both outputs"  # noqa: S101
    accepted = tolerance or _default(one.dtype)
    problem = _problem(actual, expected)
    differing, max_error, relative = (0, 0.0, 0.0)
    if actual is not None and expected is not None and not problem:
        differing, max_error, relative = _errors(actual, expected, accepted)
    return OutputDifference(
        module=path,
        output=name,
        dtype=str(one.dtype).removeprefix("torch."),
        calls=1,
        values=one.numel(),
        differing_values=differing,
        max_error=max_error,
        max_relative_error=relative,
        relative_tolerance=accepted.relative,
        absolute_tolerance=accepted.absolute,
        problem=problem,
    )


def _default(dtype: torch.dtype) -> Tolerance:
    relative, absolute = tolerances(dtype)
    return Tolerance(relative=relative, absolute=absolute)


def _problem(actual: torch.Tensor | None, expected: torch.Tensor | None) -> str:
    if actual is None or expected is None:
        return "only the eager module returns it" if actual is None else "only the compiled module returns it"
    if actual.shape != expected.shape:
        return f"shape {tuple(expected.shape)} became {tuple(actual.shape)}"
    return f"{expected.dtype} became {actual.dtype}" if actual.dtype != expected.dtype else ""


def _errors(actual: torch.Tensor, expected: torch.Tensor, accepted: Tolerance) -> tuple[int, float, float]:
    """Return the number of values outside of the tolerance, the largest error, and that error relative to eager."""
    if not actual.numel():
        return 0, 0.0, 0.0
    # NaN equals NaN, and an infinity itself; either compared with a finite value is an infinite error
    is_equal = torch.isclose(actual, expected, rtol=0.0, atol=0.0, equal_nan=True)
    actual, expected = actual.detach(), expected.detach()
    errors = (actual.double() - expected.double()).abs().nan_to_num(nan=math.inf, posinf=math.inf)
    errors = torch.where(is_equal, 0.0, errors)
    largest = float(expected.double().abs().nan_to_num(nan=0.0, posinf=0.0).max())
    error = float(errors.max())
    differing = int((errors > accepted.absolute + accepted.relative * largest).sum())
    return differing, error, error / largest if largest else error


def merged(known: OutputDifference, found: OutputDifference) -> OutputDifference:
    """Return the difference of one output over the calls of both."""
    return replace(
        known,
        calls=known.calls + 1,
        values=known.values + found.values,
        differing_values=known.differing_values + found.differing_values,
        max_error=max(known.max_error, found.max_error),
        max_relative_error=max(known.max_relative_error, found.max_relative_error),
        absolute_tolerance=max(known.absolute_tolerance, found.absolute_tolerance),
        problem=known.problem or found.problem,
        float64=_worst(known.float64, found.float64),
    )


def _worst(known: Float64Errors | None, found: Float64Errors | None) -> Float64Errors | None:
    """Return the errors of the call that is farthest beyond what is allowed; None if a call has no reference."""
    if known is None or found is None:
        return None
    worst = max(known, found, key=lambda one: one.compiled - one.allowed)
    return replace(worst, is_as_exact=known.is_as_exact and found.is_as_exact)


def _outermost(parts: Iterator[CompiledPart]) -> list[CompiledPart]:
    """Drop compiled parts inside of other compiled parts, which the outer part runs itself."""
    found = list(parts)
    return [part for part in found if not any(one.runs(part) for one in found)]


def _tensors(value: Any, name: str = "") -> Iterator[tuple[str, torch.Tensor]]:
    """Yield every tensor of an output with its name (`[0]`, `.sample`); the name of a single tensor is empty."""
    if isinstance(value, torch.Tensor):
        yield name, value
    elif isinstance(value, Mapping):
        for key, child in value.items():
            yield from _tensors(child, f"{name}.{key}")
    elif isinstance(value, (list, tuple)):
        for index, child in enumerate(value):
            yield from _tensors(child, f"{name}[{index}]")


def _copied(value: Any) -> Any:
    """Copy the tensors of a call's arguments: a module may modify them in place."""
    if isinstance(value, torch.Tensor):
        return value.clone()
    if isinstance(value, dict):
        return {key: _copied(child) for key, child in value.items()}
    if type(value) in {list, tuple}:
        return type(value)(_copied(child) for child in value)
    return value


def _same_random_numbers(*arguments: Any) -> Any:
    """Return a context that restores the random state, so that the compiled module draws the same random numbers."""
    devices = {tensor.device for _, tensor in _tensors(list(arguments)) if tensor.device.type not in {"cpu", "meta"}}
    if len({device.type for device in devices}) > 1:
        return nullcontext()
    kind = next(iter(devices)).type if devices else "cuda"
    return torch.random.fork_rng(devices=list(devices), device_type=kind)
