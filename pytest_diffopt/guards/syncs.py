"""Judge host-device synchronizations inside the denoise loop."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePath

from pytest_diffopt.arguments import INTEGER, TEXT, ArgumentError, require
from pytest_diffopt.guards.failure_text import allowed, counted, explain, not_needed, size, tolerated
from pytest_diffopt.guards.unwatched import unwatched
from pytest_diffopt.guards.verdict import Outcome, Verdict
from pytest_diffopt.records import Concern, ObservedSync, SyncRecord


@dataclass(frozen=True, kw_only=True, slots=True)
class AllowedSyncs:
    """Accepted syncs, with the reason.

    Attributes:
        where: the file name and the function, as a failure prints them: `scheduling_ddim.py:step`.
        per_step: the largest number of syncs in any step after the first.
        reason: why they are accepted; it is shown when they no longer occur.
        first_step: the largest number of syncs in the first step; None means the same as `per_step`.
    """

    where: str
    per_step: int
    reason: str
    first_step: int | None = None

    def __post_init__(self) -> None:
        """Raise ArgumentError for an allowance without a function, a positive number or a reason."""
        for rule, value, name in (
            (TEXT, self.where, "where"),
            (TEXT, self.reason, "reason"),
            (INTEGER, self.per_step, "per_step"),
            (INTEGER.or_none(), self.first_step, "first_step"),
        ):
            require(rule, value, f"AllowedSyncs({name}=...)")
        if self.where.count(":") != 1 or not all(self.where.split(":")):
            msg = f"AllowedSyncs(where=...) must be 'file.py:function', got: {self.where!r}"
            raise ArgumentError(msg)
        if not self.reason.strip():
            msg = f"AllowedSyncs(reason=...) must give a reason for the syncs in {self.where}, got: {self.reason!r}"
            raise ArgumentError(msg)
        if self.per_step < 0 or self.limit(0) < 0 or self.per_step + self.limit(0) == 0:
            msg = f"AllowedSyncs(per_step=..., first_step=...) must allow a positive number of syncs, got: {self}"
            raise ArgumentError(msg)

    def limit(self, step: int) -> int:
        """Return the largest number of syncs in this step."""
        return self.per_step if step or self.first_step is None else self.first_step

    def covers(self, sync: ObservedSync) -> bool:
        """Return whether a sync happened in the named function of the named file."""
        return self.where == f"{PurePath(sync.where.file).name}:{sync.where.function}"


def judge_syncs(record: SyncRecord, *, allow: Sequence[AllowedSyncs] = (), may_allow_more: bool = False) -> Verdict:
    """Judge a record: syncs that are not allowed are a regression.

    A record without evidence, whose steps ran nothing on the watched device, is `UNWATCHED`.

    Args:
        record: the syncs of the loop.
        allow: accepted syncs.
        may_allow_more: accept allowances that are no longer needed, or allow more than occurs; by default they are a
            regression too.
    """
    if nothing := unwatched(
        Concern.SYNCS, record.subject, record.operations, seen_by=record.seen_by, denoiser=record.denoiser
    ):
        return nothing
    excess = _excess(record.syncs, allow)
    stale = [allowance for allowance in allow if not any(allowance.covers(sync) for sync in record.syncs)]
    shrunk = (
        [] if excess else [allowance for allowance in allow if allowance not in stale and _shrunk(allowance, record)]
    )
    unneeded = len(stale) + len(shrunk)
    if excess:
        explanation = _excess_lines(record, excess, allow)
    else:
        explanation = () if may_allow_more else _stale_lines(record, stale, shrunk)
    return Verdict(
        concern=Concern.SYNCS,
        outcome=Outcome.REGRESSED if explanation else Outcome.PASSED,
        subject=record.subject,
        summary="; ".join([_summary(record), *_offload(record)]) + tolerated(unneeded if may_allow_more else 0),
        explanation=explanation,
        figures={
            "syncs": len(record.syncs),
            "steps": record.num_steps,
            "first_step": len(_in_first_step(record.syncs)),
        }
        | ({"first_call_only": len(record.first_call_syncs)} if record.first_call_syncs else {})
        | ({"offload_syncs": sum(record.offload_syncs)} if _offload(record) else {}),
    )


def needs_repetition(first_step: Sequence[ObservedSync], allow: Sequence[AllowedSyncs]) -> bool:
    """Return whether a sync in the first step is not allowed, so that it matters whether a second call has it too."""
    return bool(_excess(first_step, allow))


def _excess(syncs: Sequence[ObservedSync], allow: Sequence[AllowedSyncs]) -> list[ObservedSync]:
    """Return the syncs that are not allowed; where a step exceeds a place's limit, all syncs of that place and step."""
    per_place = Counter((sync.step, _allowance(sync, allow)) for sync in syncs)
    limits = {allowance.where: allowance for allowance in allow}
    over = {
        (step, where)
        for (step, where), count in per_place.items()
        if where is None or count > limits[where].limit(step)
    }
    return [sync for sync in syncs if (sync.step, _allowance(sync, allow)) in over]


def _allowance(sync: ObservedSync, allow: Sequence[AllowedSyncs]) -> str | None:
    return next((allowance.where for allowance in allow if allowance.covers(sync)), None)


def _shrunk(allowance: AllowedSyncs, record: SyncRecord) -> bool:
    """Return whether there are fewer syncs than the allowance grants, in the first step or in the later ones."""
    mine = [sync for sync in record.syncs if allowance.covers(sync)]
    first, later = len(_in_first_step(mine)), _per_later_step(mine)
    if allowance.first_step is None:
        return max(first, later) < allowance.per_step
    return first < allowance.first_step or (record.num_steps > 1 and later < allowance.per_step)


def _in_first_step(syncs: Sequence[ObservedSync]) -> list[ObservedSync]:
    return [sync for sync in syncs if sync.step == 0]


def _per_later_step(syncs: Sequence[ObservedSync]) -> int:
    """Return the largest number of syncs in any step after the first."""
    return max(Counter(sync.step for sync in syncs if sync.step > 0).values(), default=0)


def _summary(record: SyncRecord) -> str:
    steps = counted(record.num_steps, "step")
    once = f"; {len(record.first_call_syncs)} in the first call only" if record.first_call_syncs else ""
    if not record.syncs:
        return f"0 syncs in {steps}{once}"
    first = len(_in_first_step(record.syncs))
    return f"{counted(first, 'sync')} in the first step, up to {_per_later_step(record.syncs)} in each later one{once}"


def _excess_lines(record: SyncRecord, excess: Sequence[ObservedSync], allow: Sequence[AllowedSyncs]) -> tuple[str, ...]:
    later = _per_later_step(excess)
    first = len(_in_first_step(excess))
    often = f"{counted(later, 'sync')} per step" if later else f"{counted(first, 'sync')} in the first step"
    broken = [allowance for allowance in allow if any(allowance.covers(sync) for sync in excess)]
    limits = sum(allowance.limit(1 if later else 0) for allowance in broken)
    return explain(
        f"the denoise loop synchronizes the CPU with the GPU: {often} {allowed(limits)}",
        [*_place_lines(excess), *_denoisers(record), *_first_call_lines(record), *_caveats(record)],
        seen=f"on {record.seen_by}, {_steps(excess)} of {record.num_steps}, {record.subject}",
        hint=_hint(excess),
    )


def _denoisers(record: SyncRecord) -> list[str]:
    """Return which denoiser ran in which steps, where there are several."""
    evidence = record.denoiser
    return [f"denoisers: {evidence}"] if evidence and len(set(evidence.names_by_step)) > 1 else []


def _first_call_lines(record: SyncRecord) -> list[str]:
    """Return the places that fill a cache, which are no fault of the loop."""
    places = Counter((str(sync.where), sync.where.function) for sync in record.first_call_syncs)
    return [
        f"in the first call only, which fills a cache: {counted(number, 'sync')} at {where}  in {function}"
        for (where, function), number in places.items()
    ]


def _caveats(record: SyncRecord) -> list[str]:
    """Return what the instrument could not model."""
    unmodelled = f"not modelled, so not counted: {', '.join(record.unmodelled)}"
    read = ", ".join(map(str, record.placeholders))
    placeholders = f"placeholder values were read, so later code may take a different branch than on a GPU: {read}"
    known = ((unmodelled, record.unmodelled), (placeholders, record.placeholders))
    return [*_offload(record), *(line for line, is_known in known if is_known)]


def _offload(record: SyncRecord) -> list[str]:
    """Return what offload costs in the step with the most syncs of its hooks; nothing without offload."""
    syncs = max(record.offload_syncs, default=0)
    if not syncs:
        return []
    step = record.offload_syncs.index(syncs)
    over_the_bus = ((record.bytes_to_device, "to the GPU"), (record.bytes_to_host, "to the host"))
    sizes = [f"{size(per_step[step])} {where}" for per_step, where in over_the_bus if per_step]
    return [", ".join([f"offload hooks, not counted: {counted(syncs, 'sync')} in step {step}", *sizes])]


def _place_lines(syncs: Sequence[ObservedSync]) -> list[str]:
    """Return two lines per place, the most frequent first: how often, the operation, where; and the source line."""
    places: dict[tuple[object, str, str], list[ObservedSync]] = {}
    for sync in syncs:
        places.setdefault((sync.where, sync.operation, sync.kind), []).append(sync)
    rows = sorted(places.values(), key=len, reverse=True)
    frequencies = [_frequency(row) for row in rows]
    operations = [row[0].operation for row in rows]
    first = max(len(text) for text in frequencies)
    second = max(len(text) for text in operations)
    lines = []
    for row, frequency, operation in zip(rows, frequencies, operations, strict=True):
        where = row[0].where
        lines.append(f"{frequency:<{first}}  {operation:<{second}}  {where}  in {where.function}  ({row[0].kind})")
        if where.source:
            lines.append(f"{'':<{first}}  {'':<{second}}  {where.source}")
    return lines


def _frequency(syncs: Sequence[ObservedSync]) -> str:
    later = _per_later_step(syncs)
    return f"{later}/step" if later else f"{len(syncs)} in step 0"


def _steps(syncs: Sequence[ObservedSync]) -> str:
    numbers = sorted({sync.step for sync in syncs})
    return f"step {numbers[0]}" if len(numbers) == 1 else f"steps {numbers[0]}-{numbers[-1]}"


def _hint(syncs: Sequence[ObservedSync]) -> str:
    groups: dict[str, list[ObservedSync]] = {}
    for sync in syncs:
        groups.setdefault(f"{PurePath(sync.where.file).name}:{sync.where.function}", []).append(sync)
    texts = [_allowance_text(where, group) for where, group in groups.items()]
    return f"to accept this: allow_syncs=[{', '.join(texts)}]"


def _allowance_text(where: str, syncs: Sequence[ObservedSync]) -> str:
    first, later = len(_in_first_step(syncs)), _per_later_step(syncs)
    counts = f"per_step={later}" if first == later else f"per_step={later}, first_step={first}"
    return f'AllowedSyncs(where="{where}", {counts}, reason="...")'


def _stale_lines(record: SyncRecord, stale: Sequence[AllowedSyncs], shrunk: Sequence[AllowedSyncs]) -> tuple[str, ...]:
    if not stale and not shrunk:
        return ()
    gone = [
        f"{allowance.where} no longer synchronizes; remove the allowance (its reason: {allowance.reason})"
        for allowance in stale
    ]
    fewer = [
        f"{allowance.where} synchronizes less often: {_frequency([s for s in record.syncs if allowance.covers(s)])} "
        f"{allowed(allowance.per_step)}"
        for allowance in shrunk
    ]
    return explain(
        not_needed("sync", len(stale) + len(shrunk)),
        [*gone, *fewer],
        seen=f"on {record.seen_by}, {record.subject}",
        hint="remove or lower it in allow_syncs, so that the sync cannot return unnoticed",
    )
