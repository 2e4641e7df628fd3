"""What `torch.compile` does, watched while it really happens."""

from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, ExitStack
from dataclasses import replace
from typing import Any, Self

from pytest_diffopt import _torch_private
from pytest_diffopt.code_location import is_machinery, locate
from pytest_diffopt.records import (
    CompilationRecord,
    CompiledFrame,
    GraphBreak,
    RecompileRecord,
    Subject,
    VariationRecompiles,
)

_NS_PER_US = 1000
# Dynamo's words for an `if` or `while` that asks for a tensor's value, in torch 2.13.
_JUMP = "generic_jump TensorVariable()"


class CompileLog(AbstractContextManager["CompileLog"]):
    """Everything that Dynamo compiled since the log was opened, in order.

    One log lives as long as the test session. A position in it (`mark`) separates what came before a moment from what
    came after, so nothing has to be compiled twice to be seen.
    """

    def __init__(self) -> None:
        self._frames: list[CompiledFrame] = []
        self._breaks: list[GraphBreak] = []
        self._seen_metrics: list[Any] = []
        self._seen_reasons: list[Any] = []
        self._resources = ExitStack()

    def __enter__(self) -> Self:
        self._resources.enter_context(_torch_private.every_compilation_kept())
        self._seen_metrics = list(_torch_private.compilation_metrics())
        self._seen_reasons = list(_torch_private.graph_break_reasons())
        return self

    def __exit__(self, *exception: object) -> None:
        self._read()
        self._resources.close()

    def mark(self) -> "LogPosition":
        """Return the present end of the log."""
        self._read()
        return LogPosition(frames=len(self._frames), breaks=len(self._breaks))

    def since(self, position: "LogPosition", subject: Subject) -> CompilationRecord:
        """Return what was compiled after a position; each place that broke the graph is named once."""
        self._read()
        breaks = _one_a_place(self._breaks[position.breaks :])
        return CompilationRecord(subject=subject, frames=tuple(self._frames[position.frames :]), breaks=breaks)

    def _read(self) -> None:
        """Take over what Dynamo wrote since the last time.

        Dynamo empties its lists on `torch._dynamo.reset()`, so what is new is found by identity, not by position.
        """
        metrics, reasons = _torch_private.compilation_metrics(), _torch_private.graph_break_reasons()
        new_metrics, new_reasons = _new(metrics, self._seen_metrics), _new(reasons, self._seen_reasons)
        self._seen_metrics, self._seen_reasons = list(metrics), list(reasons)
        self._frames += [_frame(metric) for metric in new_metrics if metric.co_filename]
        # Dynamo tells some breaks to both lists; its account of a frame that it gave up has the better words.
        self._breaks += [_break_of_frame(metric) for metric in new_metrics if metric.fail_user_frame_filename]
        self._breaks += [_break_of_reason(reason) for reason in new_reasons if reason.user_stack]


class LogPosition:
    """A moment in a compile log."""

    def __init__(self, *, frames: int, breaks: int) -> None:
        self.frames = frames
        self.breaks = breaks


def watch_warmup(
    log: CompileLog, start: LogPosition, call: Callable[[], object], subject: Subject
) -> CompilationRecord:
    """Call once, and return what was compiled since `start`, be it by this call or by an earlier one.

    A break that `fullgraph=True` turns into an error ends the call, and is in the record as any other.
    """
    __tracebackhide__ = True
    try:
        call()
    except _torch_private.FullGraphError:
        record = log.since(start, subject)
        if not record.breaks:  # then the record could not say why the call failed
            raise
        return replace(record, ended_by_fullgraph=True)
    return log.since(start, subject)


def watch_recompiles(
    log: CompileLog,
    call: Callable[[Mapping[str, Any]], object],
    variations: Iterable[Mapping[str, Any]],
    *,
    start: LogPosition,
    subject: Subject,
) -> RecompileRecord:
    """Make each varied call, and return what each compiled; the first one also serves as warm-up, and is made twice.

    Args:
        log: where compilations are seen.
        call: calls the pipeline with the given keywords.
        variations: the calls; a mapping's `label`, where it has one, names it.
        start: where the pipeline's life began.
        subject: the pipeline.
    """
    __tracebackhide__ = True
    calls = list(variations)
    call(calls[0])
    warmup = log.since(start, subject)
    recompiles = []
    for number, inputs in enumerate(calls):
        before = log.mark()
        call(inputs)
        label = getattr(inputs, "label", "") or f"call {number + 1}"
        recompiles.append(VariationRecompiles(variation=label, frames=log.since(before, subject).frames))
    return RecompileRecord(subject=subject, warmup_frames=warmup.frames, variations=tuple(recompiles))


def _new(items: Iterable[Any], seen: Iterable[Any]) -> list[Any]:
    known = {id(item) for item in seen}
    return [item for item in items if id(item) not in known]


def _frame(metric: Any) -> CompiledFrame:
    return CompiledFrame(
        where=locate(metric.co_filename, metric.co_firstlineno or 0, metric.co_name or "<unknown>"),
        compile_id=str(metric.compile_id),
        operations=metric.graph_op_count or 0,
        guards=metric.guard_count or 0,
        is_compiled=bool(metric.has_guarded_code),
        # the guard that failed stands first; torch's stacks of where it was made follow
        recompile_reason=(metric.recompile_reason or "").strip().partition("\n")[0],
        compile_ns=(metric.duration_us or 0) * _NS_PER_US,
    )


def _break_of_frame(metric: Any) -> GraphBreak:
    function = metric.co_name or "<unknown>"
    return _graph_break(
        metric.fail_reason or "", metric.fail_user_frame_filename, metric.fail_user_frame_lineno, function
    )


def _break_of_reason(reason: Any) -> GraphBreak:
    """Point at the innermost line that a person would mend; Dynamo's own polyfills of builtins are none."""
    lines = [frame for frame in reason.user_stack if not is_machinery(frame.filename)] or reason.user_stack
    return _graph_break(reason.reason, lines[-1].filename, lines[-1].lineno, lines[-1].name)


def _graph_break(text: str, path: str, line: int, function: str) -> GraphBreak:
    lines = [one.strip() for one in text.strip().splitlines()]
    if lines and lines[0].startswith(_JUMP):
        lines[0] = "the code branches on a tensor's value"
    hints = tuple(one.removeprefix("Hint: ") for one in lines if one.startswith("Hint: "))
    return GraphBreak(where=locate(path, line, function), reason=lines[0] if lines else "no reason given", hints=hints)


def _one_a_place(breaks: Iterable[GraphBreak]) -> tuple[GraphBreak, ...]:
    """Keep one break a line: the function that broke is named by Dynamo's stack, the reason by its frame account."""
    places: dict[tuple[str, int], GraphBreak] = {}
    for found in breaks:
        key = (found.where.file, found.where.line)
        known = places.get(key)
        places[key] = replace(known, where=found.where, hints=known.hints or found.hints) if known else found
    return tuple(places.values())
