"""Judge recompiles, and name the guard that caused each."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from pytest_diffopt.guards.compilation import judge_graph_breaks, limit_lines, nothing_compiled
from pytest_diffopt.guards.compile_allowances import AllowedRecompiles, exceeded_limit, excess, place_of, unused
from pytest_diffopt.guards.failure_text import allowed, counted, explain, not_needed, tolerated
from pytest_diffopt.guards.unwatched import no_graph_ran
from pytest_diffopt.guards.verdict import Outcome, Verdict
from pytest_diffopt.records import (
    CompilationRecord,
    CompiledFrame,
    Concern,
    FailedGuard,
    GuardKind,
    RecompileRecord,
    VariationRecompiles,
)

_FIRST_TIME = "compiled for the first time after warm-up"
_AFTER_RESET = "compiled again: torch._dynamo.reset() or torch.compiler.reset() had discarded its code since warm-up"
_REMOVE_RESET = "remove the reset: it discards the compiled code of the whole process"
_WARMING_UP = "warm-up"
_FOR_A_NUMBER = "specialised on its value; pass a tensor"
_NO_LONGER_NEEDED = "remove or lower it in allow_recompiles, so that the recompile cannot return unnoticed"
_COMPILE_REPLACEMENT = "compile the replacement before the first call"
_STAY_BELOW_LIMIT = "reduce the recompiles of this function: past the limit Dynamo runs it uncompiled"
_ADVICE = {
    GuardKind.VALUE: "specialised on its value; always pass the same value",
    GuardKind.TYPE: "specialised on its type; always pass the same type",
    GuardKind.OBJECT: "specialised on the object's identity; pass the same object, or check its properties in forward",
    GuardKind.SHAPE: "specialised on its shape; compile with dynamic=True",
    GuardKind.DTYPE: "compiled once per dtype; always pass the same dtype",
    GuardKind.GLOBAL_STATE: "compiled once per state; make every call in the same state",
    GuardKind.OTHER: "",
}


def judge_recompiles(
    record: RecompileRecord, *, allow: Sequence[AllowedRecompiles] = (), may_allow_more: bool = False
) -> Verdict:
    """Judge a record: recompiles not allowed, lost compiled code, or no compilation are regressions.

    At warm-up a function may be compiled once for each input shape. A call that changes shapes may compile each
    function as many times again, unless it was compiled with dynamic shapes. A varied call that ran no compiled graph
    is unwatched.

    Args:
        record: the compilations at warm-up and in each varied call.
        allow: accepted recompiles.
        may_allow_more: accept allowances that are no longer needed; by default they are a regression too.
    """
    if record.breaks:
        return _broken(record)
    if not any(frame.is_compiled for frame in record.warmup_frames):
        return nothing_compiled(Concern.RECOMPILES, record)
    found = [*_unexpected(record)]
    frames = [frame for _, frame in found]
    too_many = excess(frames, allow)
    at_limit = limit_lines([*record.warmup_frames, *(frame for one in record.variations for frame in one.frames)])
    stale = unused(frames, allow)
    calls = counted(len(record.variations), "varied call")
    uncompiled = [one.variation for one in record.variations if one.graph_calls == 0]
    explanation = (
        _recompile_lines(record, [pair for pair in found if pair[1] in too_many], at_limit, allow, calls)
        if too_many or at_limit or record.lost
        else _stale_lines(record, () if may_allow_more else stale)
    )
    if uncompiled and not explanation:
        of_them = f"{len(uncompiled)} of {calls}"
        return no_graph_ran(Concern.RECOMPILES, record.subject, of_them, [", ".join(uncompiled)])
    return Verdict(
        concern=Concern.RECOMPILES,
        outcome=Outcome.REGRESSED if explanation else Outcome.PASSED,
        subject=record.subject,
        summary=f"{counted(len(frames), 'recompile')} in {calls}{tolerated(len(stale) if may_allow_more else 0)}",
        explanation=explanation,
        figures={"recompiles": len(frames), "calls": len(record.variations)},
    )


def _broken(record: RecompileRecord) -> Verdict:
    """Judge the graph break that `fullgraph=True` turned into an error: nothing after it was watched."""
    frames = tuple(frame for one in record.variations for frame in one.frames)
    broken = CompilationRecord(subject=record.subject, frames=frames, breaks=record.breaks, ended_by_fullgraph=True)
    return replace(judge_graph_breaks(broken), concern=Concern.RECOMPILES)


def _unexpected(record: RecompileRecord) -> Iterator[tuple[str, CompiledFrame]]:
    """Yield every unexpected compilation with the call that caused it."""
    for frame in record.warmup_frames:
        if frame.failed_guard and frame.failed_guard.kind is not GuardKind.SHAPE and not frame.hit_limit:
            yield _WARMING_UP, frame
    at_warmup = Counter(frame.region for frame in record.warmup_frames if frame.is_compiled and not frame.is_resumed)
    for variation in record.variations:
        for frame in _unexcused(variation, at_warmup, is_dynamic=record.is_dynamic):
            yield variation.variation, frame


def _unexcused(variation: VariationRecompiles, at_warmup: Counter[str], *, is_dynamic: bool) -> Iterable[CompiledFrame]:
    """Return the compilations that a call may not cause: all, or for a call that changes shapes, more than one set."""
    frames = [frame for frame in variation.frames if not frame.hit_limit]
    if is_dynamic or not variation.changes_shape:
        return frames
    counts: Counter[str] = Counter()
    left = []
    for frame in frames:
        counts[frame.region] += not frame.is_resumed
        is_new_shape = frame.failed_guard is not None and frame.failed_guard.kind is GuardKind.SHAPE
        if not is_new_shape or counts[frame.region] > at_warmup[frame.region]:
            left.append(frame)
    return left


def _recompile_lines(
    record: RecompileRecord,
    found: Sequence[tuple[str, CompiledFrame]],
    at_limit: Sequence[str],
    allow: Sequence[AllowedRecompiles],
    calls: str,
) -> tuple[str, ...]:
    frames = [frame for _, frame in found]
    number = f"{counted(len(frames), 'recompile')} {allowed(exceeded_limit(frames, allow))}"
    lost = [f"{name} was compiled at warm-up; its replacement is not compiled" for name in record.lost]
    headline, hint = (number, _hint(frames)) if found else _without_recompiles(len(lost), len(at_limit))
    return explain(
        headline,
        [*(line for group in _grouped(found) for line in _group_lines(group, record)), *at_limit, *lost],
        seen=f"in {calls} of {record.subject}",
        hint=hint,
    )


def _without_recompiles(num_lost: int, num_at_limit: int) -> tuple[str, str]:
    """Return the headline and the hint when compiled code was lost and no unexpected recompile was seen."""
    if num_lost:
        return f"{counted(num_lost, 'compiled module')} replaced by uncompiled code", _COMPILE_REPLACEMENT
    return f"{counted(num_at_limit, 'function')} reached Dynamo's recompile limit", _STAY_BELOW_LIMIT


def _stale_lines(record: RecompileRecord, stale: Sequence[str]) -> tuple[str, ...]:
    if not stale:
        return ()
    return explain(not_needed("recompile", len(stale)), stale, seen=f"in {record.subject}", hint=_NO_LONGER_NEEDED)


def _grouped(found: Sequence[tuple[str, CompiledFrame]]) -> Iterable[Sequence[tuple[str, CompiledFrame]]]:
    """Group the recompiles of one function by one guard, whatever the values were."""
    groups: dict[tuple[str, str, str], list[tuple[str, CompiledFrame]]] = {}
    for call, frame in found:
        failed = frame.failed_guard
        about = (failed.kind, failed.source or failed.text) if failed else ("", "")
        groups.setdefault((frame.region, *about), []).append((call, frame))
    return groups.values()


def _group_lines(group: Sequence[tuple[str, CompiledFrame]], record: RecompileRecord) -> Sequence[str]:
    """Return the first recompile in full, and the calls of the others."""
    (call, frame), *others = group
    head = f"{call}: {frame.region}  {frame.where}"
    failed = frame.failed_guard
    if failed is None:
        return [head, f"  {_AFTER_RESET if frame.is_after_reset else _FIRST_TIME}", *_more(others)]
    line = [f"  {failed.where}  in {failed.where.function}"] if failed.where.line else []
    source = [f"    {failed.where.source}"] if failed.where.line and failed.where.source else []
    spec = _shape_spec(frame.region, record) if failed.kind is GuardKind.SHAPE else ""
    other = [f"  or only where they vary, with torch 2.13 or newer: compile(dynamic_shapes={spec})"] if spec else []
    return [head, f"  {described(failed)}", *other, *line, *source, f"  torch: {failed.text}", *_more(others)]


def _shape_spec(region: str, record: RecompileRecord) -> str:
    """Return the dimensions in which the arguments of a function varied, as `compile` takes them; empty if unknown."""
    frames = [*record.warmup_frames, *(frame for one in record.variations for frame in one.frames)]
    seen = [frame.argument_shapes for frame in frames if frame.region == region and not frame.is_resumed]
    spec = {name: _varying(name, [shapes[name] for shapes in seen if name in shapes]) for one in seen for name in one}
    varying = {name: one for name, one in spec.items() if any(one)}
    return json.dumps(varying).replace("null", "None") if varying else ""


def _varying(name: str, shapes: Sequence[Sequence[int]]) -> list[str | None]:
    """Return a word for each dimension of more than one size; nothing for a tensor of several ranks."""
    if len(set(map(len, shapes))) != 1:
        return []
    sizes = zip(*shapes, strict=True)
    return [f"{name}_{dimension}" if len(set(one)) > 1 else None for dimension, one in enumerate(sizes)]


def _more(others: Sequence[tuple[str, CompiledFrame]]) -> Sequence[str]:
    calls = ", ".join(dict.fromkeys(call for call, _ in others))
    return [f"  and {len(others)} more: {calls}"] if others else []


def described(failed: FailedGuard) -> str:
    """Return what the guard assumed, what it found, and what to do: `timestep` was int 981, is int 961: ...."""
    if failed.kind is GuardKind.GLOBAL_STATE:
        return f"torch's global state changed ({failed.source}): {_ADVICE[failed.kind]}"
    if failed.kind is GuardKind.OBJECT:
        return f"`{failed.source}` is a different {failed.new or 'object'}: {_ADVICE[failed.kind]}"
    if failed.kind is GuardKind.SHAPE and not failed.source:
        return "a shape guard failed; torch does not report for which tensor"
    if failed.kind is GuardKind.SHAPE and not failed.old:
        return f"`{failed.source}` has a shape that the compiled code excludes: forward branches on its shape"
    if not failed.source:
        return "a guard failed"
    was = f"`{failed.source}` was {failed.old}"
    now = f", is {failed.new}" if failed.new else ""
    advice = _FOR_A_NUMBER if failed.old.startswith(("int ", "float ")) else _ADVICE[failed.kind]
    return was + now + (f": {advice}" if advice else "")


def _hint(frames: Sequence[CompiledFrame]) -> str:
    groups: Counter[tuple[str, str]] = Counter(
        (place_of(frame.where), frame.failed_guard.source or frame.failed_guard.text)
        for frame in frames
        if frame.failed_guard
    )
    if not groups:
        is_reset = any(frame.is_after_reset for frame in frames)
        return _REMOVE_RESET if is_reset else "call this function during warm-up"
    texts = [
        f'AllowedRecompiles(where="{where}", guard="{guard}", {f"times={times}, " if times > 1 else ""}reason="...")'
        for (where, guard), times in groups.items()
    ]
    return f"to accept this: allow_recompiles=[{', '.join(texts)}]"
