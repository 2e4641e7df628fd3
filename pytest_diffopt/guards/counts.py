"""Judge exact counts: any change fails, and a gain must be accepted."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from pytest_diffopt.baselines.documents import CountBaseline
from pytest_diffopt.baselines.figures import PhaseFigures, figures_of
from pytest_diffopt.guards.baseline_comparison import changes, incomparable, missing, what_differs
from pytest_diffopt.guards.comparison import BaselineContext
from pytest_diffopt.guards.failure_text import change, counted, explain, in_columns, size
from pytest_diffopt.guards.memory_holders import holder_lines
from pytest_diffopt.guards.phase_changes import figure_changes, phase_changes
from pytest_diffopt.guards.unwatched import unwatched
from pytest_diffopt.guards.verdict import FigureChange, Outcome, Verdict
from pytest_diffopt.records import Concern, CountRecord, Environment, OptimizationState, PhaseCounts
from pytest_diffopt.records.denoise_phases import single_steps

_SHOWN_MODULES = 5
_TERA = 1e12
_LOST = "the counts fell while an optimization is not applied"
_APPLY_FIRST = "fix how it is applied, or remove it from the recipe; until then no counts are accepted"


def judge_counts(
    record: CountRecord,
    baseline: CountBaseline | None,
    *,
    environment: Environment,
    rerun: str,
    unapplied: Sequence[OptimizationState] = (),
) -> Verdict:
    """Compare every count with the accepted one, exactly.

    Lower counts are no gain while an optimization of the recipe is not applied: its own work may be what is missing.

    Args:
        record: the counts now.
        baseline: what was accepted; None when nothing was.
        environment: the versions now.
        rerun: the command that runs this test again, without `--diffopt-update`.
        unapplied: the optimizations of the recipe that are not applied.
    """
    if nothing := unwatched(
        Concern.COUNTS,
        record.subject,
        record.operations_per_phase,
        seen_by=f"the simulated {record.gpu_model}",
        denoiser=record.denoiser,
    ):
        return nothing
    if baseline is None:
        figure = _summary(record)
        return missing(Concern.COUNTS, record.subject, figure=figure, environment=environment, rerun=rerun)
    if rows := _rows_that_differ(record, baseline, environment):
        return incomparable(Concern.COUNTS, record.subject, rows=rows, rerun=rerun)
    verdict = _compared(record, baseline, BaselineContext(environment=environment, baseline=baseline, rerun=rerun))
    return _without_gain(verdict, unapplied) if unapplied and verdict.outcome is Outcome.IMPROVED else verdict


def _without_gain(improved: Verdict, unapplied: Sequence[OptimizationState]) -> Verdict:
    """Return the verdict on lower counts with an optimization that is not applied: nothing to accept."""
    facts = [line.removeprefix("  ") for line in improved.explanation[1:-1] if line.startswith("  ")]
    others = [line for line in improved.explanation[1:-1] if not line.startswith("  ")]
    lost = [f"not applied: {state.name}: {line}" for state in unapplied for line in state.missing]
    explanation = explain(_LOST, [*lost, *facts], seen=others[0].removeprefix("seen "), hint=_APPLY_FIRST)
    return replace(improved, outcome=Outcome.REGRESSED, explanation=explanation)


def _compared(record: CountRecord, baseline: CountBaseline, context: BaselineContext) -> Verdict:
    now = {phase.phase: phase for phase in record.phases}
    changed = [*_step_changes(record, baseline), *_phase_changes(record, baseline)]
    kernels = [*_kernel_changes(record.attention, baseline.attention)]
    is_same = not changed and not kernels and record.unmodelled == baseline.unmodelled
    outcome = Outcome.PASSED if is_same else _outcome(changed, may_be_better=_may_be_better(record, baseline))
    explanation = context.explain(
        outcome,
        "the counts improved" if outcome is Outcome.IMPROVED else "the counts differ from the accepted ones",
        _facts(changed, kernels, record, baseline),
        seen=f"on the simulated {record.gpu_model}, {record.subject}",
    )
    return Verdict(
        concern=Concern.COUNTS,
        outcome=outcome,
        subject=record.subject,
        summary=_summary(record),
        explanation=() if is_same else explanation,
        figures=_totals(now) | {f"accepted_{name}": total for name, total in _totals(baseline.phases).items()},
        changes=(*changed, *kernels, *_module_changes(record, baseline)),
        environment_changes=context.version_differences,
    )


def _rows_that_differ(
    record: CountRecord, baseline: CountBaseline, environment: Environment
) -> tuple[tuple[str, str], ...]:
    gpu_model = changes({"GPU": record.gpu_model}, {"GPU": baseline.gpu_model})
    return (*what_differs(record.subject, environment, baseline), *gpu_model)


def _outcome(changed: list[FigureChange], *, may_be_better: bool) -> Outcome:
    """Return `IMPROVED` only if counts fell and none grew; a different attention kernel alone is a regression."""
    is_better = bool(changed) and may_be_better and not any(one.after > one.before for one in changed)
    return Outcome.IMPROVED if is_better else Outcome.REGRESSED


def _may_be_better(record: CountRecord, baseline: CountBaseline) -> bool:
    """Return whether lower counts are a gain: not with fewer steps, nor with operations that are no longer counted."""
    return record.num_steps == baseline.num_steps and set(record.unmodelled) <= set(baseline.unmodelled)


def _step_changes(record: CountRecord, baseline: CountBaseline) -> Iterator[FigureChange]:
    """Yield the change of the number of steps, if there is one."""
    if record.num_steps != baseline.num_steps:
        yield FigureChange(where="the loop", figure="steps", before=baseline.num_steps, after=record.num_steps)


def _phase_changes(record: CountRecord, baseline: CountBaseline) -> Iterator[FigureChange]:
    return phase_changes(
        {phase.phase: figures_of(phase) for phase in record.phases},
        {phase: figures_of(figures) for phase, figures in baseline.phases.items()},
        same_steps=record.num_steps == baseline.num_steps,
    )


def _in_words(one: FigureChange) -> str:
    relative = f" ({change(one.after / one.before - 1)})" if one.before else ""
    return f"{one.figure} {one.before:,} -> {one.after:,}{relative}"


def _kernel_changes(now: Mapping[str, int], accepted: Mapping[str, int]) -> Iterator[FigureChange]:
    for kernel in sorted({*now, *accepted}):
        before, after = accepted.get(kernel, 0), now.get(kernel, 0)
        if after != before:
            yield FigureChange(where="attention", figure=kernel, before=before, after=after)


def _module_changes(record: CountRecord, baseline: CountBaseline) -> list[FigureChange]:
    """Return the changes of each module, the largest first."""
    now = {module.module: figures_of(module) for module in record.modules}
    accepted = {module: figures_of(figures) for module, figures in baseline.modules.items()}
    found = [
        one
        for module in sorted({*now, *accepted})
        for one in figure_changes(module, accepted.get(module, {}), now.get(module, {}))
    ]
    return sorted(found, key=lambda one: abs(one.after - one.before) / max(one.before, 1), reverse=True)


def _facts(
    changed: list[FigureChange], kernels: list[FigureChange], record: CountRecord, baseline: CountBaseline
) -> list[str]:
    modules = _module_changes(record, baseline)
    left_out = len(modules) - _SHOWN_MODULES
    return [
        *in_columns((one.where, _in_words(one)) for one in changed),
        *(f"attention {one.figure}: {one.before} -> {one.after} calls" for one in kernels),
        *in_columns((f"in {one.where}", _in_words(one)) for one in modules[:_SHOWN_MODULES]),
        *([f"and {counted(left_out, 'change')} in other modules"] if left_out > 0 else []),
        *_unmodelled(record, baseline),
        *(holder_lines(record.peak_holders, "held at the peak") if _peak_grew(changed) else ()),
    ]


def _peak_grew(changed: list[FigureChange]) -> bool:
    return any(one.figure == "peak_memory_bytes" and one.after > one.before for one in changed)


def _unmodelled(record: CountRecord, baseline: CountBaseline) -> list[str]:
    if record.unmodelled == baseline.unmodelled:
        return []
    now, before = (", ".join(names) or "none" for names in (record.unmodelled, baseline.unmodelled))
    return [f"operations that are not counted: {before} -> {now}"]


def _summary(record: CountRecord) -> str:
    totals = _totals({phase.phase: phase for phase in record.phases})
    peak = size(totals["peak_memory_bytes"])
    return f"{totals['flops'] / _TERA:.3g} TFLOP, {totals['operations']} operations, peak {peak}"


def _totals(phases: Mapping[str, PhaseCounts] | Mapping[str, PhaseFigures]) -> dict[str, int]:
    """Return the totals of a call over its phases."""
    return {
        "flops": sum(counts.flops * _times(phase) for phase, counts in phases.items()),
        "operations": sum(counts.operations * _times(phase) for phase, counts in phases.items()),
        "peak_memory_bytes": max(counts.peak_memory_bytes for counts in phases.values()),
    }


def _times(phase: str) -> int:
    """Return the number of steps in a phase: 29 for `steps 1-29`."""
    return len(single_steps(phase))
