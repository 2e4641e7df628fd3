"""Graph breaks, recompiles and counts of `torch.compile`, observed during real compilations."""

import traceback
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch

from pytest_diffopt._torch_private.compile_errors import USER_ERRORS, OperatorError, RecompileLimitError
from pytest_diffopt.probes.compile_log import CompileLog, LogPosition, OwnLog
from pytest_diffopt.probes.compiled_modules import compiled_modules, compiled_names
from pytest_diffopt.probes.graph_calls import GraphCalls
from pytest_diffopt.records import (
    CompilationRecord,
    CompileCountRecord,
    CompiledFrame,
    RecompileRecord,
    RegionCounts,
    Subject,
    VariationRecompiles,
)

_Log = CompileLog | OwnLog


def watch_warmup(
    log: _Log, start: LogPosition, call: Callable[[], object], subject: Subject, *, target: Any = None
) -> CompilationRecord:
    """Call once, and return everything compiled since `start`, by this call or by earlier ones.

    A break that `fullgraph=True` turns into an error ends the call, and is recorded like any other.

    Args:
        log: the log of compilations.
        start: position before the pipeline was built.
        call: makes the call.
        subject: description of the pipeline.
        target: the pipeline, whose compiled modules are listed in the record.
    """
    __tracebackhide__ = True
    made = _make(log, start, call)
    record = log.since(start, subject)
    modules = compiled_modules(target, {frame.region for frame in record.frames})
    return replace(
        record,
        modules=modules,
        ended_by_fullgraph=made.is_ended,
        torch_traceback=made.torch_traceback,
        graph_calls=made.graph_calls,
    )


def watch_recompiles(  # noqa: PLR0913 - the calls, their target and two log positions are independent
    log: _Log,
    call: Callable[[Mapping[str, Any]], object],
    variations: Iterable[Mapping[str, Any]],
    *,
    start: LogPosition,
    subject: Subject,
    warm: LogPosition | None = None,
    target: Any = None,
    is_dynamic: bool = False,
) -> RecompileRecord:
    """Make each varied call, and return what each compiled. The first call is made twice, first as warm-up.

    A break that `fullgraph=True` turns into an error ends the sequence of calls.

    Args:
        log: the log of compilations.
        call: calls the pipeline with the given keywords.
        variations: keywords of each call; optional attributes of a mapping are `label`, its name, and `changes_shape`,
            whether it changes the input shapes of the models.
        start: position before the pipeline was built.
        subject: description of the pipeline.
        warm: position after its first complete call; None before any call.
        target: the pipeline, whose modules must remain compiled.
        is_dynamic: whether it was compiled with `dynamic=True`.
    """
    __tracebackhide__ = True
    calls = list(variations)
    before = log.mark()
    made = _make(log, before, partial(call, calls[0]))
    warmup = log.since(start, subject, until=warm)
    # Dynamo may have been reset since `warm`: only a compilation with a failed guard is a recompile.
    again = [frame for frame in log.since(before, subject).frames if frame.failed_guard] if warm else []
    seen = [_varied(0, calls[0], again, made)] if again else []
    names = compiled_names(target)
    for number, inputs in enumerate(calls):
        if made.is_ended:
            break
        before = log.mark()
        made = _make(log, before, partial(call, inputs))
        seen.append(_varied(number, inputs, log.since(before, subject).frames, made))
    left = compiled_names(target)
    return RecompileRecord(
        subject=subject,
        warmup_frames=warmup.frames,
        variations=tuple(seen),
        is_dynamic=is_dynamic,
        lost=tuple(name for name in names if name not in left),
        breaks=log.since(before, subject).breaks if made.is_ended else (),
        torch_traceback=made.torch_traceback,
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class _Made:
    """A call that was made.

    Attributes:
        torch_traceback: torch's traceback when `fullgraph=True` ended the call; empty otherwise.
        graph_calls: how often it called a compiled graph.
    """

    torch_traceback: str
    graph_calls: int

    @property
    def is_ended(self) -> bool:
        """Whether `fullgraph=True` ended the call."""
        return bool(self.torch_traceback)


def _make(log: _Log, before: LogPosition, call: Callable[[], object]) -> _Made:
    """Make a call; an error by which `fullgraph=True` ends it is raised unless the log contains the reason."""
    __tracebackhide__ = True
    with GraphCalls(log.namespaces) as graphs:
        ended = _call(log, before, call)
    return _Made(torch_traceback=ended, graph_calls=graphs.count)


def _call(log: _Log, before: LogPosition, call: Callable[[], object]) -> str:
    """Call, and return torch's traceback when `fullgraph=True` ended the call and the log contains the reason."""
    __tracebackhide__ = True
    try:
        call()
    except (*USER_ERRORS, RecompileLimitError, OperatorError) as error:
        if not log.explains_error(before) or (isinstance(error, OperatorError) and not _works_in_eager(call)):
            raise
        return "".join(traceback.format_exception(error))
    return ""


def _works_in_eager(call: Callable[[], object]) -> bool:
    """Return whether the call succeeds without compiled code; its own errors are then not the compiler's."""
    try:
        with torch.compiler.set_stance("force_eager"):
            call()
    except Exception:  # noqa: BLE001 - whatever it raises, the caller raises the first error
        return False
    return True


def _varied(
    number: int, inputs: Mapping[str, Any], frames: Iterable[CompiledFrame], made: _Made
) -> VariationRecompiles:
    return VariationRecompiles(
        variation=getattr(inputs, "label", "") or f"call {number + 1}",
        frames=tuple(frames),
        changes_shape=getattr(inputs, "changes_shape", False),
        graph_calls=made.graph_calls,
    )


def count_regions(record: CompilationRecord) -> CompileCountRecord:
    """Sum the counts of each function, in the order of first compilation."""
    regions = dict.fromkeys([frame.region for frame in record.frames] + [one.region for one in record.breaks])
    return CompileCountRecord(
        subject=record.subject,
        regions=tuple(_counts(name, record) for name in regions),
        graph_calls=record.graph_calls,
    )


def _counts(region: str, record: CompilationRecord) -> RegionCounts:
    frames = [frame for frame in record.frames if frame.region == region]
    return RegionCounts(
        region=region,
        graphs=sum(frame.is_compiled for frame in frames),
        breaks=sum(one.region == region for one in record.breaks),
        recompiles=sum(frame.failed_guard is not None for frame in frames),
        operations=sum(frame.operations for frame in frames),
        guards=sum(frame.guards for frame in frames),
        symbolic_sizes=sum(frame.code.symbolic_sizes for frame in frames),
        generated_kernels=sum(len(frame.code.kernels) for frame in frames),
        external_calls=sum(call.calls for frame in frames for call in frame.code.external_calls),
        fallbacks=sum(frame.code.fallbacks for frame in frames),
        reused_buffers=sum(frame.code.reused_buffers for frame in frames),
    )
