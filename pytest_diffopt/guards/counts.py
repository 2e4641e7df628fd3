"""Judge exact counts: any change is shown, worse fails, and better asks to be accepted."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from pytest_diffopt.baselines.documents import CountBaseline
from pytest_diffopt.baselines.figures import figures_of
from pytest_diffopt.guards.comparable import changes, incomparable, missing, version_differences, what_differs
from pytest_diffopt.guards.explain import change, counted, explain, in_columns, size
from pytest_diffopt.guards.verdict import Outcome, Verdict
from pytest_diffopt.records import Concern, CountRecord, Environment

_SHOWN_MODULES = 5
_TERA = 1e12


@dataclass(frozen=True, kw_only=True, slots=True)
class _Change:
    """One figure that is not what was accepted."""

    where: str
    figure: str
    before: int
    after: int

    @property
    def is_worse(self) -> bool:
        return self.after > self.before

    def __str__(self) -> str:
        relative = f" ({change(self.after / self.before - 1)})" if self.before else ""
        return f"{self.figure} {self.before:,} -> {self.after:,}{relative}"


def judge_counts(
    record: CountRecord, baseline: CountBaseline | None, *, environment: Environment, rerun: str
) -> Verdict:
    """Compare every count with the accepted one, exactly.

    Args:
        record: what was counted now.
        baseline: what was accepted; None when nothing was.
        environment: the versions now.
        rerun: the command that runs this test again, without `--diffopt-update`.
    """
    if baseline is None:
        figure = _summary(record)
        return missing(Concern.COUNTS, record.subject, figure=figure, environment=environment, rerun=rerun)
    if rows := _rows_that_differ(record, baseline, environment):
        return incomparable(Concern.COUNTS, record.subject, rows=rows, rerun=rerun)
    changed = [*_phase_changes(record, baseline)]
    kernels = [*_kernel_changes(record.attention, baseline.attention)]
    is_same = not changed and not kernels and record.unmodelled == baseline.unmodelled
    outcome = Outcome.PASSED if is_same else _outcome(changed, hides_more=_hides_more(record, baseline))
    return Verdict(
        concern=Concern.COUNTS,
        outcome=outcome,
        subject=record.subject,
        summary=_summary(record),
        explanation=() if is_same else _explanation(outcome, changed, kernels, record, baseline, environment, rerun),
        figures={"flops": _total_flops(record), "operations": _total_operations(record)},
    )


def _rows_that_differ(
    record: CountRecord, baseline: CountBaseline, environment: Environment
) -> tuple[tuple[str, str], ...]:
    call = changes(
        {"card": record.card, "number of steps": str(record.num_steps)},
        {"card": baseline.card, "number of steps": str(baseline.num_steps)},
    )
    return (*what_differs(record.subject, environment, baseline), *call)


def _outcome(changed: list[_Change], *, hides_more: bool) -> Outcome:
    """Only fewer of everything is an improvement; another kernel alone is not, nor what is only counted no more."""
    is_better = bool(changed) and not hides_more and not any(one.is_worse for one in changed)
    return Outcome.IMPROVED if is_better else Outcome.REGRESSED


def _hides_more(record: CountRecord, baseline: CountBaseline) -> bool:
    """Tell whether there are operations that are not counted now and were then."""
    return not set(record.unmodelled) <= set(baseline.unmodelled)


def _phase_changes(record: CountRecord, baseline: CountBaseline) -> Iterator[_Change]:
    now = {phase.phase: figures_of(phase) for phase in record.phases}
    accepted = {phase: figures_of(figures) for phase, figures in baseline.phases.items()}
    for phase in [*now, *(phase for phase in accepted if phase not in now)]:
        yield from _figure_changes(phase, accepted.get(phase, {}), now.get(phase, {}))


def _figure_changes(where: str, before: Mapping[str, int], after: Mapping[str, int]) -> Iterator[_Change]:
    for figure in before or after:
        old, new = before.get(figure, 0), after.get(figure, 0)
        if old != new:
            yield _Change(where=where, figure=figure, before=old, after=new)


def _kernel_changes(now: Mapping[str, int], accepted: Mapping[str, int]) -> Iterator[str]:
    for kernel in sorted({*now, *accepted}):
        if now.get(kernel, 0) != accepted.get(kernel, 0):
            yield f"attention {kernel}: {accepted.get(kernel, 0)} -> {now.get(kernel, 0)} calls"


def _module_changes(record: CountRecord, baseline: CountBaseline) -> list[_Change]:
    """Return what changed in which part, the largest first."""
    now = {module.module: figures_of(module) for module in record.modules}
    accepted = {module: figures_of(figures) for module, figures in baseline.modules.items()}
    found = [
        one
        for module in sorted({*now, *accepted})
        for one in _figure_changes(module, accepted.get(module, {}), now.get(module, {}))
    ]
    return sorted(found, key=lambda one: abs(one.after - one.before) / max(one.before, 1), reverse=True)


def _explanation(  # noqa: PLR0913, PLR0917 - all that can be said of one judgement
    outcome: Outcome,
    changed: list[_Change],
    kernels: list[str],
    record: CountRecord,
    baseline: CountBaseline,
    environment: Environment,
    rerun: str,
) -> tuple[str, ...]:
    modules = _module_changes(record, baseline)
    left_out = len(modules) - _SHOWN_MODULES
    facts = [
        *in_columns((one.where, str(one)) for one in changed),
        *kernels,
        *in_columns((f"in {one.where}", str(one)) for one in modules[:_SHOWN_MODULES]),
        *([f"and {counted(left_out, 'change')} in other modules"] if left_out > 0 else []),
        *_unmodelled(record, baseline),
    ]
    is_better = outcome is Outcome.IMPROVED
    return explain(
        "the counts became better" if is_better else "the counts are not what was accepted",
        facts,
        seen=f"on the simulated {record.card}, {record.subject}",
        differences=version_differences(environment, baseline),
        remedy=f"{'to keep the gain' if is_better else 'if this is wanted'}: {rerun} --diffopt-update all",
    )


def _unmodelled(record: CountRecord, baseline: CountBaseline) -> list[str]:
    if record.unmodelled == baseline.unmodelled:
        return []
    now, before = (", ".join(names) or "none" for names in (record.unmodelled, baseline.unmodelled))
    return [f"operations that are not counted: {before} -> {now}"]


def _summary(record: CountRecord) -> str:
    peak = max(phase.peak_memory_bytes for phase in record.phases)
    return f"{_total_flops(record) / _TERA:.3g} TFLOP, {_total_operations(record)} operations, peak {size(peak)}"


def _total_flops(record: CountRecord) -> int:
    return sum(phase.flops * _times(phase.phase) for phase in record.phases)


def _total_operations(record: CountRecord) -> int:
    return sum(phase.operations * _times(phase.phase) for phase in record.phases)


def _times(phase: str) -> int:
    """Return how many steps stand together in a row: `steps 1-29` are 29."""
    if not phase.startswith("steps "):
        return 1
    first, last = phase.removeprefix("steps ").split("-")
    return int(last) - int(first) + 1
