"""Judge a call's peak memory: it may not exceed what was accepted on the same GPU."""

from pytest_diffopt.baselines.documents import MemoryBaseline
from pytest_diffopt.guards.baseline_comparison import changes, incomparable, missing, what_differs
from pytest_diffopt.guards.comparison import BaselineContext, Comparison, allowed_difference, worst_outcome
from pytest_diffopt.guards.failure_text import allowed, change, in_columns, percent, size
from pytest_diffopt.guards.memory_holders import holder_lines
from pytest_diffopt.guards.unwatched import unwatched
from pytest_diffopt.guards.verdict import FigureChange, Outcome, Verdict
from pytest_diffopt.records import Concern, Environment, MemoryRecord

_ALLOCATED, _RESERVED = "allocated by tensors", "reserved by the allocator"
_FIGURES = {_ALLOCATED: "peak_allocated_bytes", _RESERVED: "peak_reserved_bytes"}


def judge_memory(
    record: MemoryRecord, baseline: MemoryBaseline | None, *, environment: Environment, rerun: str
) -> Verdict:
    """Compare the peaks of the tensors and of the caching allocator with the accepted ones.

    A difference counts only past the margin and past the absolute floor. If either peak grew, the verdict is a
    regression, even when the other shrank.

    Args:
        record: the measurement.
        baseline: what was accepted; None when nothing was.
        environment: the machine and versions now.
        rerun: the command that runs this test again, without `--diffopt-update`.
    """
    device = record.subject.device.in_words
    if nothing := unwatched(
        Concern.MEMORY, record.subject, [record.operations], seen_by=device, denoiser=record.denoiser
    ):
        return nothing
    if baseline is None:
        figure = f"{size(record.peak_allocated_bytes)} at the peak"
        return missing(Concern.MEMORY, record.subject, figure=figure, environment=environment, rerun=rerun)
    if rows := _rows_that_differ(record, baseline, environment):
        return incomparable(Concern.MEMORY, record.subject, rows=rows, rerun=rerun)
    return _compared(record, baseline, BaselineContext(environment=environment, baseline=baseline, rerun=rerun))


def _compared(record: MemoryRecord, baseline: MemoryBaseline, context: BaselineContext) -> Verdict:
    peaks = _peaks(record, baseline)
    outcome = worst_outcome(tuple(peaks.values()))
    tensors = peaks[_ALLOCATED]
    return Verdict(
        concern=Concern.MEMORY,
        outcome=outcome,
        subject=record.subject,
        summary=f"{size(tensors.now)} ({change(tensors.relative_change)})",
        explanation=() if outcome is Outcome.PASSED else _explanation(outcome, peaks, record, baseline, context),
        figures={_FIGURES[name]: float(peak.now) for name, peak in peaks.items()}
        | {f"accepted_{_FIGURES[name]}": float(peak.accepted) for name, peak in peaks.items()},
        changes=tuple(
            FigureChange(where=name, figure="peak_bytes", before=round(peak.accepted), after=round(peak.now))
            for name, peak in peaks.items()
            if peak.now != peak.accepted
        ),
        environment_changes=context.version_differences,
    )


def _rows_that_differ(
    record: MemoryRecord, baseline: MemoryBaseline, environment: Environment
) -> tuple[tuple[str, str], ...]:
    now = {"instrument": record.seen_by, "caching allocator": _yes_or_no(record.peak_reserved_bytes)}
    then = {"instrument": baseline.seen_by, "caching allocator": _yes_or_no(baseline.peak_reserved_bytes)}
    return (*what_differs(record.subject, environment, baseline), *changes(now, then))


def _yes_or_no(reserved_bytes: int | None) -> str:
    return "one" if reserved_bytes else "none"


def _peaks(record: MemoryRecord, baseline: MemoryBaseline) -> dict[str, Comparison]:
    """Return the peaks to compare; without a caching allocator there is only the tensors' peak."""
    pairs = {_ALLOCATED: (record.peak_allocated_bytes, baseline.peak_allocated_bytes)}
    if baseline.peak_reserved_bytes is not None:
        pairs[_RESERVED] = (record.peak_reserved_bytes, baseline.peak_reserved_bytes)
    return {
        name: Comparison.within(now, accepted, margin=baseline.margin, floor=baseline.floor_bytes)
        for name, (now, accepted) in pairs.items()
    }


def _explanation(
    outcome: Outcome,
    peaks: dict[str, Comparison],
    record: MemoryRecord,
    baseline: MemoryBaseline,
    context: BaselineContext,
) -> tuple[str, ...]:
    rows = in_columns((name, _in_words(peak)) for name, peak in peaks.items())
    return context.explain(
        outcome,
        _headline(outcome, peaks),
        (
            *rows,
            allowed_difference(baseline.margin, size(baseline.floor_bytes)),
            *(_held_lines(record) if outcome is Outcome.REGRESSED else ()),
        ),
        seen=f"{_seen_by(record, context.environment)}, {record.subject}",
    )


def _held_lines(record: MemoryRecord) -> tuple[str, ...]:
    before = record.held_before_bytes
    held_before = (
        ()
        if before is None
        else (
            f"{size(before)} of it was held before the call: weights, libraries' workspaces, what earlier calls kept",
        )
    )
    return (*held_before, *holder_lines(record.peak_holders, "held at the peak"))


def _in_words(peak: Comparison) -> str:
    figures = f"{size(peak.now)}, accepted {size(peak.accepted)}, {change(peak.relative_change)}"
    return f"{figures} {allowed(size(peak.limit))}"


def _headline(outcome: Outcome, peaks: dict[str, Comparison]) -> str:
    name, peak = next((name, peak) for name, peak in peaks.items() if peak.outcome is outcome)
    verb = "grew" if outcome is Outcome.REGRESSED else "fell"
    how_much = percent(abs(peak.relative_change))
    return f"the memory peak {verb} by {how_much}: {size(peak.now)} {name} {allowed(size(peak.limit))}"


def _seen_by(record: MemoryRecord, environment: Environment) -> str:
    """Return the device and the instrument, once where they are the same."""
    instrument = f" by {record.seen_by}" if record.seen_by != environment.device_name else ""
    return f"on {environment.device_name}{instrument}"
