"""A call may not become slower than it was accepted to be, on the same GPU."""

from dataclasses import dataclass

from pytest_diffopt.baselines.documents import LatencyBaseline
from pytest_diffopt.guards.baseline_comparison import changes, incomparable, missing, version_differences, what_differs
from pytest_diffopt.guards.changed_counts import cause
from pytest_diffopt.guards.failure_text import change, counted, explain, in_columns, percent, time
from pytest_diffopt.guards.gpu_state import gpu_rows, why_gpu_unfit
from pytest_diffopt.guards.verdict import FigureChange, Outcome, Verdict
from pytest_diffopt.records import Concern, Environment, LatencyRecord
from pytest_diffopt.statistics.intervals import median, relative_spread


@dataclass(frozen=True, kw_only=True, slots=True)
class _Comparison:
    """The figures of a record beside those of a baseline, all in nanoseconds."""

    now: float
    accepted: float
    tolerance: float

    @property
    def outcome(self) -> Outcome:
        if self.now > self.accepted + self.tolerance:
            return Outcome.REGRESSED
        return Outcome.IMPROVED if self.now < self.accepted - self.tolerance else Outcome.PASSED

    @property
    def relative_change(self) -> float:
        return self.now / self.accepted - 1


def judge_latency(
    record: LatencyRecord, baseline: LatencyBaseline | None, *, environment: Environment, rerun: str
) -> Verdict:
    """Compare the median of the samples with the median of the accepted sessions' medians.

    A difference counts only past the margin and past the absolute floor: a percent of a very short call is noise, and
    so is a millisecond of a very long one.

    Args:
        record: what was measured now.
        baseline: what was accepted; None when nothing was.
        environment: the machine and versions now.
        rerun: the command that runs this test again, without `--diffopt-update`.
    """
    if unfit := _why_unfit(record):
        return _undecided(record, unfit, environment)
    now = median(record.samples_ns)
    if baseline is None and not record.is_warm:
        return _cold(record, now, environment)
    if baseline is None:
        figure = _figure(now, record)
        return missing(Concern.LATENCY, record.subject, figure=figure, environment=environment, rerun=rerun)
    if rows := _rows_that_differ(record, baseline, environment):
        return incomparable(Concern.LATENCY, record.subject, rows=rows, rerun=rerun)
    accepted = median([median(session.samples_ns) for session in baseline.sessions])
    tolerance = max(accepted * baseline.margin, baseline.floor_ns)
    compared = _Comparison(now=now, accepted=accepted, tolerance=tolerance)
    outcome = compared.outcome if record.is_warm else Outcome.INCONCLUSIVE
    return Verdict(
        concern=Concern.LATENCY,
        outcome=outcome,
        subject=record.subject,
        summary=f"{_figure(now, record)} ({change(compared.relative_change)})",
        explanation=_explanation(outcome, compared, record, baseline, environment, rerun),
        figures={
            "median_ns": now,
            "accepted_median_ns": accepted,
            "tolerance_ns": tolerance,
            "relative_change": compared.relative_change,
        }
        | ({"roofline_share": record.roofline_ns / now} if record.roofline_ns else {}),
        changes=(FigureChange(where="a call", figure="median_ns", before=round(accepted), after=round(now)),),
        environment_changes=version_differences(environment, baseline),
    )


def is_fit_for_baseline(record: LatencyRecord) -> bool:
    """Tell whether a record may be accepted: what was still getting faster, or on a busy GPU, would be no tripwire."""
    return record.is_warm and not _why_unfit(record)


def _why_unfit(record: LatencyRecord) -> str:
    return why_gpu_unfit(record.gpu, num_counted=len(record.samples_ns), num_throttled=len(record.throttled_ns))


def _undecided(record: LatencyRecord, headline: str, environment: Environment) -> Verdict:
    """Say that the GPU was in no state to be timed on."""
    return Verdict(
        concern=Concern.LATENCY,
        outcome=Outcome.INCONCLUSIVE,
        subject=record.subject,
        summary=headline,
        explanation=explain(
            headline,
            facts=in_columns(_gpu_rows(record)),
            seen=f"on {environment.device_name}, {record.subject}",
            hint="run it again on a GPU that nobody else uses, once it is cool",
        ),
    )


def _cold(record: LatencyRecord, now: float, environment: Environment) -> Verdict:
    """Refuse to offer for a baseline what was still getting faster."""
    calls = counted(len(record.warmup_ns), "warm-up call")
    return Verdict(
        concern=Concern.LATENCY,
        outcome=Outcome.INCONCLUSIVE,
        subject=record.subject,
        summary=f"{_figure(now, record)}, still getting faster",
        explanation=explain(
            f"the call was still getting faster after {calls}: {time(now)}, too early for a baseline",
            seen=f"on {environment.device_name}, {record.subject}",
            hint=_hint(Outcome.INCONCLUSIVE, ""),
        ),
    )


def _rows_that_differ(
    record: LatencyRecord, baseline: LatencyBaseline, environment: Environment
) -> tuple[tuple[str, str], ...]:
    steps = changes({"number of steps": str(record.num_steps)}, {"number of steps": str(baseline.num_steps)})
    return (*what_differs(record.subject, environment, baseline), *steps)


def _explanation(  # noqa: PLR0913, PLR0917 - all that can be said of one judgement
    outcome: Outcome,
    compared: _Comparison,
    record: LatencyRecord,
    baseline: LatencyBaseline,
    environment: Environment,
    rerun: str,
) -> tuple[str, ...]:
    """Say all that a person needs; nothing when there is nothing to say."""
    if outcome is Outcome.PASSED:
        return ()
    return explain(
        _headline(outcome, compared, record),
        facts=(*in_columns(_facts(compared, record, baseline)), *_cause(outcome, record, baseline)),
        seen=f"on {environment.device_name}, {record.subject}",
        differences=version_differences(environment, baseline),
        hint=_hint(outcome, rerun),
    )


def _headline(outcome: Outcome, compared: _Comparison, record: LatencyRecord) -> str:
    allowed = f"({time(compared.accepted + compared.tolerance)} allowed)"
    match outcome:
        case Outcome.REGRESSED:
            return f"the call became {percent(compared.relative_change)} slower: {time(compared.now)} {allowed}"
        case Outcome.IMPROVED:
            return f"the call became {percent(-compared.relative_change)} faster: {time(compared.now)} {allowed}"
        case _:
            calls = counted(len(record.warmup_ns), "warm-up call")
            return f"the call was still getting faster after {calls}: {time(compared.now)} {allowed}"


def _facts(compared: _Comparison, record: LatencyRecord, baseline: LatencyBaseline) -> tuple[tuple[str, str], ...]:
    medians = [median(session.samples_ns) for session in baseline.sessions]
    spread = percent(relative_spread(record.samples_ns))
    facts = (
        ("now", f"{time(compared.now)}, median of {counted(len(record.samples_ns), 'call')}, spread {spread}"),
        ("accepted", f"{time(compared.accepted)}, {_sessions(medians)}"),
        ("change", f"{time(abs(compared.now - compared.accepted))} ({_allowance(baseline)})"),
    )
    return (*facts, *_step_row(compared, record.num_steps), *_detail_rows(record), *_gpu_rows(record))


def _cause(outcome: Outcome, record: LatencyRecord, baseline: LatencyBaseline) -> tuple[str, ...]:
    """Say what changed of what can be counted since the baseline was accepted."""
    if outcome not in {Outcome.REGRESSED, Outcome.IMPROVED} or baseline.counts is None:
        return ()
    return cause(baseline.counts.as_record(record.subject), record.counts, why_not=record.why_not_counted)


def _step_row(compared: _Comparison, num_steps: int) -> tuple[tuple[str, str], ...]:
    if not num_steps:
        return ()
    now, accepted = compared.now / num_steps, compared.accepted / num_steps
    return (("a step", f"{time(now)}, accepted {time(accepted)} ({num_steps} steps)"),)


def _detail_rows(record: LatencyRecord) -> tuple[tuple[str, str], ...]:
    """Return what was timed apart: the loop, the first step and the others, the first call."""
    rows = []
    if record.loops_ns:
        rows.append(("denoise loop", f"{time(median(record.loops_ns))} of it"))
    if record.steps_ns and len(record.steps_ns[0]) > 1:
        first = median([steps[0] for steps in record.steps_ns])
        others = median([step for steps in record.steps_ns for step in steps[1:]])
        rows.append(("steps", f"the first {time(first)}, each of the others {time(others)}"))
    if record.first_call_ns:
        compiling = f", {time(record.compile_ns)} of it compiling" if record.compile_ns else ""
        rows.append(("first call", f"{time(record.first_call_ns)}{compiling}"))
    if record.roofline_ns:
        rows.append(("roofline", f"{time(record.roofline_ns)} is the least that this GPU's peaks allow"))
    return tuple(rows)


def _gpu_rows(record: LatencyRecord) -> tuple[tuple[str, str], ...]:
    return gpu_rows(record.gpu, num_counted=len(record.samples_ns), num_throttled=len(record.throttled_ns))


def _allowance(baseline: LatencyBaseline) -> str:
    return f"{percent(baseline.margin)} or {time(baseline.floor_ns)} allowed, whichever is more"


def _sessions(medians: list[float]) -> str:
    span = f" from {time(min(medians))} to {time(max(medians))}" if len(medians) > 1 else ""
    return f"median of {counted(len(medians), 'session')}{span}"


def _hint(outcome: Outcome, rerun: str) -> str:
    match outcome:
        case Outcome.IMPROVED:
            return f"to keep the gain: {rerun} --diffopt-update all"
        case Outcome.REGRESSED:
            return f"if this is wanted: {rerun} --diffopt-update all"
        case _:
            return "give it more time: --diffopt-max-seconds"


def _figure(now: float, record: LatencyRecord) -> str:
    steps = f", {1e9 * record.num_steps / now:.1f} steps/s" if record.num_steps else ""
    share = f", {100 * record.roofline_ns / now:.0f} % of the roofline" if record.roofline_ns else ""
    return f"{time(now)}{steps}{share}"
