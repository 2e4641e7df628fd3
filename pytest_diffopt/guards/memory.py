"""A call may not hold more memory at its peak than it was accepted to, on the same GPU."""

from dataclasses import dataclass

from pytest_diffopt.baselines.documents import MemoryBaseline
from pytest_diffopt.guards.baseline_comparison import changes, incomparable, missing, version_differences, what_differs
from pytest_diffopt.guards.failure_text import change, explain, in_columns, percent, size
from pytest_diffopt.guards.verdict import FigureChange, Outcome, Verdict
from pytest_diffopt.records import Concern, Environment, MemoryRecord


@dataclass(frozen=True, kw_only=True, slots=True)
class _Peak:
    """One peak beside the accepted one, in bytes."""

    name: str
    now: int
    accepted: int
    tolerance: float

    @property
    def grew(self) -> bool:
        return self.now > self.accepted + self.tolerance

    @property
    def shrank(self) -> bool:
        return self.now < self.accepted - self.tolerance

    @property
    def relative_change(self) -> float:
        return self.now / self.accepted - 1

    def __str__(self) -> str:
        allowed = f"({size(self.accepted + self.tolerance)} allowed)"
        return f"{size(self.now)}, accepted {size(self.accepted)}, {change(self.relative_change)} {allowed}"


def judge_memory(
    record: MemoryRecord, baseline: MemoryBaseline | None, *, environment: Environment, rerun: str
) -> Verdict:
    """Compare what tensors held, and what the caching allocator held, with what was accepted.

    A difference counts only past the margin and past the absolute floor. One peak that grew is a regression, whatever
    the other did.

    Args:
        record: what was measured now.
        baseline: what was accepted; None when nothing was.
        environment: the machine and versions now.
        rerun: the command that runs this test again, without `--diffopt-update`.
    """
    if baseline is None:
        figure = f"{size(record.peak_allocated_bytes)} at the peak"
        return missing(Concern.MEMORY, record.subject, figure=figure, environment=environment, rerun=rerun)
    if rows := _rows_that_differ(record, baseline, environment):
        return incomparable(Concern.MEMORY, record.subject, rows=rows, rerun=rerun)
    peaks = _peaks(record, baseline)
    outcome = _outcome(peaks)
    return Verdict(
        concern=Concern.MEMORY,
        outcome=outcome,
        subject=record.subject,
        summary=f"{size(peaks[0].now)} ({change(peaks[0].relative_change)})",
        explanation=_explanation(outcome, peaks, record, baseline, environment, rerun),
        figures=_figures(peaks),
        changes=tuple(
            FigureChange(where=peak.name, figure="peak_bytes", before=peak.accepted, after=peak.now)
            for peak in peaks
            if peak.now != peak.accepted
        ),
        environment_changes=version_differences(environment, baseline),
    )


def _rows_that_differ(
    record: MemoryRecord, baseline: MemoryBaseline, environment: Environment
) -> tuple[tuple[str, str], ...]:
    now = {"instrument": record.seen_by, "caching allocator": _yes_or_no(record.peak_reserved_bytes)}
    then = {"instrument": baseline.seen_by, "caching allocator": _yes_or_no(baseline.peak_reserved_bytes)}
    return (*what_differs(record.subject, environment, baseline), *changes(now, then))


def _yes_or_no(reserved_bytes: int | None) -> str:
    return "one" if reserved_bytes else "none"


def _peaks(record: MemoryRecord, baseline: MemoryBaseline) -> tuple[_Peak, ...]:
    """Pair the figures; where there is no caching allocator only the tensors are left."""
    pairs = [("allocated by tensors", record.peak_allocated_bytes, baseline.peak_allocated_bytes)]
    if baseline.peak_reserved_bytes is not None:
        pairs.append(("reserved by the allocator", record.peak_reserved_bytes, baseline.peak_reserved_bytes))
    return tuple(
        _Peak(name=name, now=now, accepted=then, tolerance=max(then * baseline.margin, baseline.floor_bytes))
        for name, now, then in pairs
    )


def _outcome(peaks: tuple[_Peak, ...]) -> Outcome:
    if any(peak.grew for peak in peaks):
        return Outcome.REGRESSED
    return Outcome.IMPROVED if any(peak.shrank for peak in peaks) else Outcome.PASSED


def _explanation(  # noqa: PLR0913, PLR0917 - all that can be said of one judgement
    outcome: Outcome,
    peaks: tuple[_Peak, ...],
    record: MemoryRecord,
    baseline: MemoryBaseline,
    environment: Environment,
    rerun: str,
) -> tuple[str, ...]:
    """Say all that a person needs; nothing when there is nothing to say."""
    if outcome is Outcome.PASSED:
        return ()
    tolerance = f"{percent(baseline.margin)} or {size(baseline.floor_bytes)} allowed, whichever is more"
    wish = "to keep the gain" if outcome is Outcome.IMPROVED else "if this is wanted"
    return explain(
        _headline(outcome, peaks),
        facts=(*in_columns((peak.name, str(peak)) for peak in peaks), tolerance),
        seen=f"{_seen_by(record, environment)}, {record.subject}",
        differences=version_differences(environment, baseline),
        hint=f"{wish}: {rerun} --diffopt-update all",
    )


def _headline(outcome: Outcome, peaks: tuple[_Peak, ...]) -> str:
    grew = outcome is Outcome.REGRESSED
    worst = next(peak for peak in peaks if (peak.grew if grew else peak.shrank))
    verb = "grew" if grew else "fell"
    allowed = f"({size(worst.accepted + worst.tolerance)} allowed)"
    how_much = percent(abs(worst.relative_change))
    return f"the memory peak {verb} by {how_much}: {size(worst.now)} {worst.name} {allowed}"


def _figures(peaks: tuple[_Peak, ...]) -> dict[str, float]:
    names = ("peak_allocated", "peak_reserved")
    now = {f"{name}_bytes": float(peak.now) for name, peak in zip(names, peaks, strict=False)}
    then = {f"accepted_{name}_bytes": float(peak.accepted) for name, peak in zip(names, peaks, strict=False)}
    return now | then


def _seen_by(record: MemoryRecord, environment: Environment) -> str:
    """Say where it was seen and by what, once where the device is its own instrument."""
    return f"on {environment.device_name}" + (
        f" by {record.seen_by}" if record.seen_by != environment.device_name else ""
    )
