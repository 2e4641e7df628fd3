"""Graph breaks, recompiles and counts of `torch.compile`, observed during real compilations."""

import traceback
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Self

import torch

from pytest_diffopt._torch_private.compile_errors import FullGraphError, RecompileLimitError
from pytest_diffopt._torch_private.compile_watching import Compilation, TracedBreak, compilations_watched
from pytest_diffopt._torch_private.cuda_graphs import cuda_graphs_watched
from pytest_diffopt.probes.compiled_modules import compiled_modules, compiled_names
from pytest_diffopt.probes.failed_guards import failed_guard
from pytest_diffopt.probes.graph_breaks import graph_break, is_consequence, one_per_line, read_in_graph, source_name
from pytest_diffopt.records import (
    CacheResult,
    CompilationRecord,
    CompileCountRecord,
    CompiledFrame,
    GraphBreak,
    RecompileRecord,
    RegionCounts,
    Subject,
    VariationRecompiles,
)
from pytest_diffopt.records.code_location import locate

if TYPE_CHECKING:
    from types import CodeType

_NS_PER_US = 1000
_NO_CUDA_GRAPHS = "torch gives no reason"


@dataclass(frozen=True, kw_only=True, slots=True)
class LogPosition:
    """A position in a compile log."""

    frames: int
    breaks: int


class CompileLog(AbstractContextManager["CompileLog"]):
    """Every compilation by Dynamo since the log was opened, in order.

    One log is open for the whole test session. A position in it (`mark`) separates earlier from later compilations, so
    that nothing needs to be compiled twice to be observed.
    """

    def __init__(self) -> None:
        self._frames: list[CompiledFrame] = []
        self._breaks: list[GraphBreak] = []
        self._traced: list[TracedBreak] = []
        self._wrapped: dict[CodeType, set[CodeType]] = {}
        self._namespaces: dict[int, dict[str, Any]] = {}
        self._resources = ExitStack()

    def __enter__(self) -> Self:
        self._resources.enter_context(compilations_watched(self._add))
        if torch.cuda.is_available():
            self._resources.enter_context(cuda_graphs_watched())
        return self

    def __exit__(self, *exception: object) -> None:
        self._resources.close()

    @property
    def namespaces(self) -> Collection[dict[str, Any]]:
        """The globals of every Python module with a compiled function."""
        return self._namespaces.values()

    def mark(self) -> LogPosition:
        """Return the current end of the log."""
        return LogPosition(frames=len(self._frames), breaks=len(self._breaks))

    def since(self, start: LogPosition, subject: Subject, *, until: LogPosition | None = None) -> CompilationRecord:
        """Return the compilations after a position; each line with a graph break is listed once."""
        end = until or self.mark()
        return CompilationRecord(
            subject=subject,
            frames=tuple(self._frames[start.frames : end.frames]),
            breaks=one_per_line(self._breaks[start.breaks : end.breaks]),
        )

    def explains_error(self, start: LogPosition) -> bool:
        """Return whether a break or the recompile limit since `start` explains why a call raised."""
        return len(self._breaks) > start.breaks or any(frame.hit_limit for frame in self._frames[start.frames :])

    def _add(self, found: Compilation) -> None:
        frame = _frame(found)
        if self._wraps_new_function(found):  # the guards of a shared wrapper fail for each further function
            frame = replace(frame, failed_guard=None)
        for one in found.breaks:
            if not is_consequence(one, self._traced):
                self._breaks.append(graph_break(one, frame.region))
            self._traced.append(one)
        self._breaks += [read_in_graph(one, frame.region) for one in found.reads]
        self._frames.append(frame)
        self._namespaces[id(found.namespace)] = found.namespace

    def _wraps_new_function(self, found: Compilation) -> bool:
        """Return whether a decorator's wrapper, compiled before for another function, is compiled for a new one."""
        if _is_first(found):
            self._wrapped.pop(found.wrapper, None)
        wrapped = self._wrapped.setdefault(found.wrapper, set())
        is_another = bool(wrapped) and found.code not in wrapped
        wrapped.add(found.code)
        return is_another


def _is_first(found: Compilation) -> bool:
    """Return whether this is a wrapper's first compilation (since a reset): Dynamo's ids end in `/0`, as in `3/0`."""
    return found.compile_id.partition("/")[2].partition("_")[0] == "0"


def watch_warmup(
    log: CompileLog, start: LogPosition, call: Callable[[], object], subject: Subject, *, target: Any = None
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
    ended = _call(log, start, call)
    record = log.since(start, subject)
    modules = compiled_modules(target, {frame.region for frame in record.frames})
    return replace(record, modules=modules, ended_by_fullgraph=bool(ended), torch_traceback=ended)


def watch_recompiles(  # noqa: PLR0913 - the calls, their target and two log positions are independent
    log: CompileLog,
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
    ended = _call(log, before, partial(call, calls[0]))
    warmup = log.since(start, subject, until=warm)
    # Dynamo may have been reset since `warm`: only a compilation with a failed guard is a recompile.
    again = [frame for frame in log.since(before, subject).frames if frame.failed_guard] if warm else []
    seen = [_varied(0, calls[0], again)] if again else []
    names = compiled_names(target)
    for number, inputs in enumerate(calls):
        if ended:
            break
        before = log.mark()
        ended = _call(log, before, partial(call, inputs))
        seen.append(_varied(number, inputs, log.since(before, subject).frames))
    left = compiled_names(target)
    return RecompileRecord(
        subject=subject,
        warmup_frames=warmup.frames,
        variations=tuple(seen),
        is_dynamic=is_dynamic,
        lost=tuple(name for name in names if name not in left),
        breaks=log.since(before, subject).breaks if ended else (),
        torch_traceback=ended,
    )


def _call(log: CompileLog, before: LogPosition, call: Callable[[], object]) -> str:
    """Call, and return torch's traceback when `fullgraph=True` ended the call and the log contains the reason."""
    __tracebackhide__ = True
    try:
        call()
    except (FullGraphError, RecompileLimitError) as error:
        if not log.explains_error(before):
            raise
        return "".join(traceback.format_exception(error))
    return ""


def _varied(number: int, inputs: Mapping[str, Any], frames: Iterable[CompiledFrame]) -> VariationRecompiles:
    return VariationRecompiles(
        variation=getattr(inputs, "label", "") or f"call {number + 1}",
        frames=tuple(frames),
        changes_shape=getattr(inputs, "changes_shape", False),
    )


def count_regions(record: CompilationRecord) -> CompileCountRecord:
    """Sum the counts of each function, in the order of first compilation."""
    regions = dict.fromkeys([frame.region for frame in record.frames] + [one.region for one in record.breaks])
    return CompileCountRecord(subject=record.subject, regions=tuple(_counts(name, record) for name in regions))


def _counts(region: str, record: CompilationRecord) -> RegionCounts:
    frames = [frame for frame in record.frames if frame.region == region]
    return RegionCounts(
        region=region,
        graphs=sum(frame.is_compiled for frame in frames),
        breaks=sum(one.region == region for one in record.breaks),
        recompiles=sum(frame.failed_guard is not None for frame in frames),
        operations=sum(frame.operations for frame in frames),
        guards=sum(frame.guards for frame in frames),
    )


def _frame(found: Compilation) -> CompiledFrame:
    code, metrics = found.code, found.metrics
    name = source_name(code.co_name)
    frame = CompiledFrame(
        region=code.co_qualname.removesuffix(code.co_name).replace("<locals>.", "") + name,
        where=locate(code.co_filename, code.co_firstlineno, name),
        compile_id=found.compile_id,
        operations=0,
        guards=0,
        is_compiled=False,
        compile_ns=0,
        is_resumed=name != code.co_name,
        hit_limit=found.hit_limit,
    )
    if metrics is None:
        return frame
    return replace(
        frame,
        operations=metrics.graph_op_count or 0,
        guards=metrics.guard_count or 0,
        is_compiled=bool(metrics.has_guarded_code),
        compile_ns=(metrics.duration_us or 0) * _NS_PER_US,
        failed_guard=failed_guard(metrics.recompile_reason or "", code, found.value_of),
        cache=_cache(metrics),
        cuda_graphs_skipped=metrics.cudagraph_skip_reason or (_NO_CUDA_GRAPHS if found.skipped_cuda_graphs else ""),
    )


def _cache(metrics: Any) -> CacheResult:
    """Return the cache result of a whole compilation: a miss of any part counts as a miss."""
    stores = ("inductor_fx_local_cache", "inductor_fx_remote_cache", "aotautograd_local_cache")
    if any(getattr(metrics, f"{store}_miss_count") for store in stores):
        return CacheResult.MISS
    is_hit = any(getattr(metrics, f"{store}_hit_count") for store in stores)
    return CacheResult.HIT if is_hit else CacheResult.NOT_USED
