"""Judge a call's latency: it may not become slower than was accepted on the same GPU."""

from pytest_diffopt.baselines.documents import LatencyBaseline
from pytest_diffopt.guards.baseline_comparison import changes, incomparable, missing, what_differs
from pytest_diffopt.guards.changed_counts import cause
from pytest_diffopt.guards.comparison import (
    MEASURE_LONGER,
    BaselineContext,
    Comparison,
    allowed_difference,
    is_change,
    speed_change,
    undecided,
)
from pytest_diffopt.guards.failure_text import change, counted, in_columns, percent, time
from pytest_diffopt.guards.gpu_state import gpu_rows, why_gpu_unfit
from pytest_diffopt.guards.host_time import bound_text, time_of, timed_on
from pytest_diffopt.guards.verdict import FigureChange, Outcome, Verdict
from pytest_diffopt.records import Concern, Device, Environment, LatencyRecord
from pytest_diffopt.statistics.intervals import median, relative_deviation, relative_spread
from pytest_diffopt.statistics.spread import exceeded_by_chance


def judge_latency(
    record: LatencyRecord, baseline: LatencyBaseline | None, *, environment: Environment, rerun: str
) -> Verdict:
    """Compare the median of the samples with the median of the accepted sessions' medians.

    A difference counts only past the margin and past the absolute floor: for a very short call a percent is noise, for
    a very long one a millisecond is.

    Args:
        record: the measurement.
        baseline: what was accepted; None when nothing was.
        environment: the machine and versions now.
        rerun: the command that runs this test again, without `--diffopt-update`.
    """
    if unfit := _why_unfit(record):
        return _on_unfit_gpu(record, unfit, environment)
    now = median(record.samples_ns)
    if baseline is None and not record.is_warm:
        return _cold(record, now, environment)
    if baseline is None:
        figure = _figure(now, record)
        return missing(Concern.LATENCY, record.subject, figure=figure, environment=environment, rerun=rerun)
    if rows := _rows_that_differ(record, baseline, environment):
        return incomparable(Concern.LATENCY, record.subject, rows=rows, rerun=rerun)
    return _compared(record, baseline, now, BaselineContext(environment=environment, baseline=baseline, rerun=rerun))


def is_fit_for_baseline(record: LatencyRecord) -> bool:
    """Return whether a record may be accepted: its calls were warmed up and the GPU was idle and not throttled."""
    return record.is_warm and not _why_unfit(record)


def _compared(record: LatencyRecord, baseline: LatencyBaseline, now: float, context: BaselineContext) -> Verdict:
    accepted = median([median(session.samples_ns) for session in baseline.sessions])
    compared = Comparison.within(now, accepted, margin=baseline.margin, floor=baseline.floor_ns)
    outcome = compared.outcome if record.is_warm else Outcome.INCONCLUSIVE
    return Verdict(
        concern=Concern.LATENCY,
        outcome=outcome,
        subject=record.subject,
        summary=f"{_figure(now, record)} ({change(compared.relative_change)}){_bound(now, record)}",
        explanation=() if outcome is Outcome.PASSED else _explanation(outcome, compared, record, baseline, context),
        figures={
            "median_ns": now,
            "accepted_median_ns": accepted,
            "tolerance_ns": compared.tolerance,
            "relative_change": compared.relative_change,
        }
        | _roofline_figures(now, record),
        changes=(FigureChange(where="a call", figure="median_ns", before=round(accepted), after=round(now)),),
        environment_changes=context.version_differences,
    )


def _why_unfit(record: LatencyRecord) -> str:
    return why_gpu_unfit(record.gpu, num_counted=len(record.samples_ns), num_throttled=len(record.throttled_ns))


def _on_unfit_gpu(record: LatencyRecord, headline: str, environment: Environment) -> Verdict:
    return undecided(
        Concern.LATENCY,
        record.subject,
        headline,
        facts=in_columns(_gpu_rows(record)),
        seen=timed_on(record.subject, environment.device_name),
        hint="rerun on an idle GPU that has cooled down",
    )


def _cold(record: LatencyRecord, now: float, environment: Environment) -> Verdict:
    """Return the verdict of a call that was still getting faster and so cannot become a baseline."""
    return undecided(
        Concern.LATENCY,
        record.subject,
        f"{_still_faster(record)}: {time(now)}, too early for a baseline",
        seen=timed_on(record.subject, environment.device_name),
        hint=MEASURE_LONGER,
        summary=f"{_figure(now, record)}, still getting faster",
    )


def _still_faster(record: LatencyRecord) -> str:
    return f"the call was still getting faster after {counted(len(record.warmup_ns), 'warm-up call')}"


def _rows_that_differ(
    record: LatencyRecord, baseline: LatencyBaseline, environment: Environment
) -> tuple[tuple[str, str], ...]:
    steps = changes({"number of steps": str(record.num_steps)}, {"number of steps": str(baseline.num_steps)})
    return (*what_differs(record.subject, environment, baseline), *steps)


def _explanation(
    outcome: Outcome,
    compared: Comparison,
    record: LatencyRecord,
    baseline: LatencyBaseline,
    context: BaselineContext,
) -> tuple[str, ...]:
    return context.explain(
        outcome,
        _headline(outcome, compared, record),
        (*in_columns(_facts(compared, record, baseline)), *_cause(outcome, record, baseline)),
        seen=f"{timed_on(record.subject, context.environment.device_name)}, {record.subject}",
    )


def _headline(outcome: Outcome, compared: Comparison, record: LatencyRecord) -> str:
    what = speed_change(outcome, compared.relative_change) if is_change(outcome) else _still_faster(record)
    return f"{what}: {time(compared.now)} ({time(compared.limit)} allowed)"


def _facts(compared: Comparison, record: LatencyRecord, baseline: LatencyBaseline) -> tuple[tuple[str, str], ...]:
    medians = [median(session.samples_ns) for session in baseline.sessions]
    spread = percent(relative_spread(record.samples_ns))
    allowed = allowed_difference(baseline.margin, time(baseline.floor_ns))
    facts = (
        ("now", f"{time(compared.now)}, median of {counted(len(record.samples_ns), 'call')}, spread {spread}"),
        ("accepted", f"{time(compared.accepted)}, {_sessions(medians)}"),
        ("sessions", _by_chance(medians, baseline.margin)),
        ("change", f"{time(abs(compared.now - compared.accepted))} ({allowed})"),
    )
    return (*facts, *_step_row(compared, record.num_steps), *_detail_rows(record), *_gpu_rows(record))


def _cause(outcome: Outcome, record: LatencyRecord, baseline: LatencyBaseline) -> tuple[str, ...]:
    """Return the counts that changed since the baseline was accepted, the likely cause of another latency."""
    if not is_change(outcome) or baseline.counts is None:
        return ()
    return cause(baseline.counts.as_record(record.subject), record.counts, why_not=record.why_not_counted)


def _step_row(compared: Comparison, num_steps: int) -> tuple[tuple[str, str], ...]:
    if not num_steps:
        return ()
    now, accepted = compared.now / num_steps, compared.accepted / num_steps
    return (("per step", f"{time(now)}, accepted {time(accepted)} ({num_steps} steps)"),)


def _detail_rows(record: LatencyRecord) -> tuple[tuple[str, str], ...]:
    """Return what was timed separately: the loop, the first and the later steps, the first call."""
    rows = []
    if record.loops_ns:
        rows.append(("denoise loop", f"{time(median(record.loops_ns))} of the call"))
    if record.steps_ns and len(record.steps_ns[0]) > 1:
        first = median([steps[0] for steps in record.steps_ns])
        later = median([step for steps in record.steps_ns for step in steps[1:]])
        rows.append(("steps", f"first {time(first)}, each later one {time(later)}"))
    if record.first_call_ns:
        compiling = f", including {time(record.compile_ns)} of compilation" if record.compile_ns else ""
        rows.append(("first call", f"{time(record.first_call_ns)}{compiling}"))
    if record.roofline_ns and record.subject.device is Device.NULL_GPU:
        rows.append(
            ("device", f"at least {time(record.roofline_ns)}, by the roofline of the GPU that it stands in for")
        )
    elif record.roofline_ns:
        rows.append(("roofline", f"{time(record.roofline_ns)}, the lower bound at this GPU's peak rates"))
    return tuple(rows)


def _gpu_rows(record: LatencyRecord) -> tuple[tuple[str, str], ...]:
    return gpu_rows(record.gpu, num_counted=len(record.samples_ns), num_throttled=len(record.throttled_ns))


def _sessions(medians: list[float]) -> str:
    span = f" from {time(min(medians))} to {time(max(medians))}" if len(medians) > 1 else ""
    return f"median of {counted(len(medians), 'session')}{span}"


def _by_chance(medians: list[float], margin: float) -> str:
    """Write what the margin means for the error rate, from the spread of the accepted sessions."""
    if len(medians) == 1:
        return "one cannot show how much sessions differ: --diffopt-update all adds more"
    deviation, chance = relative_deviation(medians), exceeded_by_chance(medians, margin=margin)
    return (
        f"they differ by {100 * deviation:.2g} %, one standard deviation: the same code exceeds {percent(margin)} in "
        f"{100 * chance:.2g} % of sessions"
    )


def _figure(now: float, record: LatencyRecord) -> str:
    steps = f", {1e9 * record.num_steps / now:.1f} steps/s" if record.num_steps else ""
    is_shown = record.roofline_ns and record.subject.device is not Device.NULL_GPU
    share = f", {100 * record.roofline_ns / now:.0f} % of the roofline" if is_shown else ""
    return f"{time_of(record.subject, time(now))}{steps}{share}"


def _roofline_figures(now: float, record: LatencyRecord) -> dict[str, float]:
    if not record.roofline_ns:
        return {}
    if record.subject.device is Device.NULL_GPU:
        return {"device_at_least_ns": record.roofline_ns}
    return {"roofline_share": record.roofline_ns / now}


def _bound(now: float, record: LatencyRecord) -> str:
    """Return, for host time, what bounds the call: the host, or the device by its roofline."""
    if not record.roofline_ns or record.subject.device is not Device.NULL_GPU:
        return ""
    return f"; {bound_text(host_ns=now, device_ns=record.roofline_ns)}"
