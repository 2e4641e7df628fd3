"""What `torch.compile` does, watched while it really happens."""

import traceback
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Self

from pytest_diffopt._torch_private.compile_errors import FullGraphError, RecompileLimitError
from pytest_diffopt._torch_private.compile_watching import Compilation, TracedBreak, compilations_watched
from pytest_diffopt.probes.compiled_modules import compiled_modules, compiled_names
from pytest_diffopt.probes.failed_guards import failed_guard
from pytest_diffopt.probes.graph_breaks import graph_break, is_consequence, one_a_place, read_in_graph, written_name
from pytest_diffopt.records import (
    CacheAnswer,
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
    """A moment in a compile log."""

    frames: int
    breaks: int


class CompileLog(AbstractContextManager["CompileLog"]):
    """Everything that Dynamo compiled since the log was opened, in order.

    One log lives as long as the test session. A position in it (`mark`) separates what came before a moment from what
    came after, so nothing has to be compiled twice to be seen.
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
        return self

    def __exit__(self, *exception: object) -> None:
        self._resources.close()

    @property
    def namespaces(self) -> Collection[dict[str, Any]]:
        """The globals of every module in which something was compiled."""
        return self._namespaces.values()

    def mark(self) -> LogPosition:
        """Return the present end of the log."""
        return LogPosition(frames=len(self._frames), breaks=len(self._breaks))

    def since(self, start: LogPosition, subject: Subject, *, until: LogPosition | None = None) -> CompilationRecord:
        """Return what was compiled after a position; each place that broke the graph is named once."""
        end = until or self.mark()
        return CompilationRecord(
            subject=subject,
            frames=tuple(self._frames[start.frames : end.frames]),
            breaks=one_a_place(self._breaks[start.breaks : end.breaks]),
        )

    def tells_why(self, start: LogPosition) -> bool:
        """Tell whether a call that ended in an error is explained by what was seen since."""
        return len(self._breaks) > start.breaks or any(frame.hit_limit for frame in self._frames[start.frames :])

    def _add(self, found: Compilation) -> None:
        frame = _frame(found)
        if self._is_another_in_a_known_wrapper(found):  # whose guards fail for what they do not guard
            frame = replace(frame, failed_guard=None)
        for one in found.breaks:
            if not is_consequence(one, self._traced):
                self._breaks.append(graph_break(one, frame.region))
            self._traced.append(one)
        self._breaks += [read_in_graph(one, frame.region) for one in found.reads]
        self._frames.append(frame)
        self._namespaces[id(found.namespace)] = found.namespace

    def _is_another_in_a_known_wrapper(self, found: Compilation) -> bool:
        """Tell whether a decorator's wrapper is compiled for a function that is new, and was before for another."""
        if _is_first(found):
            self._wrapped.pop(found.wrapper, None)
        wrapped = self._wrapped.setdefault(found.wrapper, set())
        is_another = bool(wrapped) and found.code not in wrapped
        wrapped.add(found.code)
        return is_another


def _is_first(found: Compilation) -> bool:
    """Tell whether Dynamo knew nothing of a wrapper yet, or forgot it: it numbers the compilations of each as `3/0`."""
    return found.compile_id.partition("/")[2].partition("_")[0] == "0"


def watch_warmup(
    log: CompileLog, start: LogPosition, call: Callable[[], object], subject: Subject, *, target: Any = None
) -> CompilationRecord:
    """Call once, and return what was compiled since `start`, be it by this call or by an earlier one.

    A break that `fullgraph=True` turns into an error ends the call, and is in the record as any other.

    Args:
        log: where compilations are seen.
        start: where the pipeline's life began.
        call: the call.
        subject: the pipeline.
        target: the pipeline itself, to tell which of its modules are compiled.
    """
    __tracebackhide__ = True
    ended = _call(log, start, call)
    record = log.since(start, subject)
    modules = compiled_modules(target, {frame.region for frame in record.frames})
    return replace(record, modules=modules, ended_by_fullgraph=bool(ended), torch_traceback=ended)


def watch_recompiles(  # noqa: PLR0913 - what is called, of what, and since when
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
    """Make each varied call, and return what each compiled; the first one is made once more before, as warm-up.

    A break that `fullgraph=True` turns into an error ends the last call that is made.

    Args:
        log: where compilations are seen.
        call: calls the pipeline with the given keywords.
        variations: the calls; a mapping's `label`, where it has one, names it, and its `changes_shape` tells that it
            gives the models inputs of another shape.
        start: where the pipeline's life began.
        subject: the pipeline.
        warm: where its first whole call had ended; None when it was not called yet.
        target: the pipeline itself, to tell whether what is compiled at warm-up still is afterwards.
        is_dynamic: it was compiled for any shape.
    """
    __tracebackhide__ = True
    calls = list(variations)
    before = log.mark()
    ended = _call(log, before, partial(call, calls[0]))
    warmup = log.since(start, subject, until=warm)
    # Dynamo may have been reset since, so that what the call compiles for the first time is no fault; the rest is.
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
    """Call, and return torch's traceback when the log holds the reason why `fullgraph=True` ended it."""
    __tracebackhide__ = True
    try:
        call()
    except (FullGraphError, RecompileLimitError) as error:
        if not log.tells_why(before):
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
    """Add up what each function came to, in the order in which they were compiled."""
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
    name = written_name(code.co_name)
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


def _cache(metrics: Any) -> CacheAnswer:
    """Return what the caches said to the whole compilation: one part that nobody knew is a miss."""
    stores = ("inductor_fx_local_cache", "inductor_fx_remote_cache", "aotautograd_local_cache")
    if any(getattr(metrics, f"{store}_miss_count") for store in stores):
        return CacheAnswer.MISS
    known = any(getattr(metrics, f"{store}_hit_count") for store in stores)
    return CacheAnswer.HIT if known else CacheAnswer.NOT_ASKED
