"""Judge what was compiled again, and name the culprit."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from pytest_diffopt.guards.compilation import gave_up_lines, judge_graph_breaks, nothing_compiled
from pytest_diffopt.guards.compile_allowances import AllowedRecompiles, exceeded_limit, excess, place_of, unused
from pytest_diffopt.guards.failure_text import allowed, counted, explain
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

_FIRST_TIME = "compiled for the first time, after warm-up"
_WARMING_UP = "warm-up"
_FOR_A_NUMBER = "specialised on its value; pass a tensor"
_NO_LONGER_NEEDED = "take it out of allow_recompiles, or lower it, so that the recompile cannot come back unseen"
_ADVICE = {
    GuardKind.VALUE: "specialised on its value; always pass the same one",
    GuardKind.TYPE: "specialised on its type; always pass the same one",
    GuardKind.OBJECT: "specialised on the very object; share one, or ask forward for what it does, not for what it is",
    GuardKind.SHAPE: "specialised on its shape; compile with dynamic=True",
    GuardKind.DTYPE: "one compilation a dtype; always pass the same one",
    GuardKind.GLOBAL_STATE: "one compilation a state; make every call in the same one",
    GuardKind.OTHER: "",
}


def judge_recompiles(record: RecompileRecord, *, allow: Sequence[AllowedRecompiles] = ()) -> Verdict:
    """A recompile that nothing excuses, compiled code that is lost, or no compilation at all, is a regression.

    At warm-up a function may be compiled once for every shape that it meets. A call that changes shapes may compile
    each function as often again, unless it was compiled for any shape.

    Args:
        record: what was seen.
        allow: recompiles that are accepted; one that is gone asks to be taken out.
    """
    if record.breaks:
        return _broken(record)
    if not any(frame.is_compiled for frame in record.warmup_frames):
        return nothing_compiled(Concern.RECOMPILES, record)
    found = [*_culprits(record)]
    frames = [frame for _, frame in found]
    too_many = excess(frames, allow)
    given_up = gave_up_lines([*record.warmup_frames, *(frame for one in record.variations for frame in one.frames)])
    stale = unused(frames, allow)
    calls = counted(len(record.variations), "varied call")
    explanation = (
        _recompile_lines(record, [pair for pair in found if pair[1] in too_many], given_up, allow, calls)
        if too_many or given_up or record.lost
        else _stale_lines(record, stale)
    )
    return Verdict(
        concern=Concern.RECOMPILES,
        outcome=Outcome.REGRESSED if explanation else Outcome.PASSED,
        subject=record.subject,
        summary=f"{counted(len(frames), 'recompile')} in {calls}",
        explanation=explanation,
        figures={"recompiles": len(frames), "calls": len(record.variations)},
    )


def _broken(record: RecompileRecord) -> Verdict:
    """Tell of the break that `fullgraph=True` made an error of: what comes after it was not seen."""
    frames = tuple(frame for one in record.variations for frame in one.frames)
    broken = CompilationRecord(subject=record.subject, frames=frames, breaks=record.breaks, ended_by_fullgraph=True)
    return replace(judge_graph_breaks(broken), concern=Concern.RECOMPILES)


def _culprits(record: RecompileRecord) -> Iterator[tuple[str, CompiledFrame]]:
    """Yield every compilation that should not have been, with the call that made it."""
    for frame in record.warmup_frames:
        if frame.failed_guard and frame.failed_guard.kind is not GuardKind.SHAPE and not frame.hit_limit:
            yield _WARMING_UP, frame
    at_warmup = Counter(frame.region for frame in record.warmup_frames if frame.is_compiled and not frame.is_resumed)
    for variation in record.variations:
        for frame in _unexcused(variation, at_warmup, is_dynamic=record.is_dynamic):
            yield variation.variation, frame


def _unexcused(variation: VariationRecompiles, at_warmup: Counter[str], *, is_dynamic: bool) -> Iterable[CompiledFrame]:
    """Return what a call may not compile: anything, or where it changes shapes, more than one set of new shapes."""
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
    given_up: Sequence[str],
    allow: Sequence[AllowedRecompiles],
    calls: str,
) -> tuple[str, ...]:
    frames = [frame for _, frame in found]
    number = f"{counted(len(frames), 'recompile')} {allowed(exceeded_limit(frames, allow))}"
    lost = [f"{name} was compiled at warm-up, and what is there now is not" for name in record.lost]
    return explain(
        number if found else f"{counted(len(given_up) + len(lost), 'compiled module')} lost",
        [*(line for group in _alike(found) for line in _group_lines(group)), *given_up, *lost],
        seen=f"in {calls} of {record.subject}",
        hint=_hint(frames) if found else "compile what takes its place, before the first call",
    )


def _stale_lines(record: RecompileRecord, stale: Sequence[str]) -> tuple[str, ...]:
    if not stale:
        return ()
    headline = f"{counted(len(stale), 'allowance')} for recompiles no longer needed"
    return explain(headline, stale, seen=f"in {record.subject}", hint=_NO_LONGER_NEEDED)


def _alike(found: Sequence[tuple[str, CompiledFrame]]) -> Iterable[Sequence[tuple[str, CompiledFrame]]]:
    """Put the recompiles of one function by one guard together, whatever the values were."""
    groups: dict[tuple[str, str, str], list[tuple[str, CompiledFrame]]] = {}
    for call, frame in found:
        failed = frame.failed_guard
        about = (failed.kind, failed.source or failed.text) if failed else ("", "")
        groups.setdefault((frame.region, *about), []).append((call, frame))
    return groups.values()


def _group_lines(group: Sequence[tuple[str, CompiledFrame]]) -> Sequence[str]:
    """Tell the first one whole, and of the others when they were."""
    (call, frame), *others = group
    head = f"{call}: {frame.region}  {frame.where}"
    failed = frame.failed_guard
    if failed is None:
        return [head, f"  {_FIRST_TIME}", *_more(others)]
    line = [f"  {failed.where}  in {failed.where.function}"] if failed.where.line else []
    source = [f"    {failed.where.source}"] if failed.where.line and failed.where.source else []
    return [head, f"  {described(failed)}", *line, *source, f"  torch: {failed.text}", *_more(others)]


def _more(others: Sequence[tuple[str, CompiledFrame]]) -> Sequence[str]:
    calls = ", ".join(dict.fromkeys(call for call, _ in others))
    return [f"  and {counted(len(others), 'time')} more: {calls}"] if others else []


def described(failed: FailedGuard) -> str:
    """Say what was assumed, what it is now, and what to do: `timestep` was int 981, is int 961: ...."""
    if failed.kind is GuardKind.GLOBAL_STATE:
        return f"torch's global state changed ({failed.source}): {_ADVICE[failed.kind]}"
    if failed.kind is GuardKind.OBJECT:
        return f"`{failed.source}` is another {failed.new or 'object'} than before: {_ADVICE[failed.kind]}"
    if failed.kind is GuardKind.SHAPE and not failed.source:
        return "a guard on a shape failed; torch does not tell of what"
    if failed.kind is GuardKind.SHAPE and not failed.old:
        return f"`{failed.source}` has a shape that the compiled code excludes: forward asks for its shape"
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
        return "warm up with a call that reaches it"
    texts = [
        f'AllowedRecompiles(where="{where}", guard="{guard}", {f"times={times}, " if times > 1 else ""}reason="...")'
        for (where, guard), times in groups.items()
    ]
    return f"if this is wanted: allow_recompiles=[{', '.join(texts)}]"
