"""Judge what a call launches: any change fails, and a gain must be accepted."""

from collections.abc import Callable, Iterable, Iterator
from itertools import groupby

from pytest_diffopt.baselines.documents import KernelBaseline
from pytest_diffopt.guards.baseline_comparison import incomparable, missing, what_differs
from pytest_diffopt.guards.comparison import BaselineContext, undecided
from pytest_diffopt.guards.failure_text import change, counted, explain, factor, in_columns, percent, size
from pytest_diffopt.guards.phase_changes import phase_changes
from pytest_diffopt.guards.unwatched import unproven, unwatched
from pytest_diffopt.guards.verdict import FigureChange, Outcome, Verdict
from pytest_diffopt.records import Concern, Environment, FewerKernelsRecord, KernelRecord, PhaseKernels
from pytest_diffopt.records.denoise_phases import single_steps

#: The packages whose versions decide which kernels are launched, and under which names.
DECIDING_PACKAGES = ("torch", "triton", "diffusers")
_SHOWN = 12
_NO_LAUNCHES = ("copies ", "bytes copied ", "calls of ", "fill", "peak memory")
# CUDA graphs that launch the same are no loss; what they do not launch counts as launched outside of them.
_WITHOUT_DIRECTION = frozenset({"launches in graphs", "graph launches"})


def judge_kernels(
    record: KernelRecord, baseline: KernelBaseline | None, *, environment: Environment, rerun: str
) -> Verdict:
    """Compare every figure with the accepted one, exactly; under other versions, the sums of each phase.

    Args:
        record: what was launched now.
        baseline: what was accepted; None when nothing was.
        environment: the versions now.
        rerun: the command that runs this test again, without `--diffopt-update`.
    """
    if nothing := _unseen(record, rerun):
        return nothing
    if not record.is_settled:
        return _unsettled(record)
    if baseline is None:
        figure = _summary(record.phases)
        return missing(Concern.KERNELS, record.subject, figure=figure, environment=environment, rerun=rerun)
    if rows := what_differs(record.subject, environment, baseline):
        return incomparable(Concern.KERNELS, record.subject, rows=rows, rerun=rerun)
    return _compared(record, baseline, BaselineContext(environment=environment, baseline=baseline, rerun=rerun))


def judge_fewer_kernels(record: FewerKernelsRecord, *, demanded: float) -> Verdict:
    """Compare the launches of a call with those of a reference.

    Args:
        record: what both launched.
        demanded: the required factor; with 1.0 one launch less is enough.
    """
    for one in (record.counted, record.reference):
        if nothing := _unseen(one):
            return nothing
        if not one.is_settled:
            return _unsettled(one)
    now, other = (_totals(one.phases)["launches"] for one in (record.counted, record.reference))
    is_fewer = now < other and now * demanded <= other
    figure = _ratio(now, other, demanded)
    return Verdict(
        concern=Concern.KERNELS,
        outcome=Outcome.PASSED if is_fewer else Outcome.REGRESSED,
        subject=record.subject,
        summary=figure,
        explanation=() if is_fewer else _not_fewer(record, now, other, demanded),
        figures={"launches": now, "reference_launches": other, "demanded_factor": demanded},
    )


# ---- without evidence


def _unseen(record: KernelRecord, rerun: str = "") -> Verdict | None:
    """Return the verdict `UNWATCHED` if no device counted, or if a step launched nothing."""
    if record.phases:
        return unwatched(
            Concern.KERNELS,
            record.subject,
            record.launches_per_phase,
            seen_by=record.seen_by,
            denoiser=record.denoiser,
        )
    command = rerun.removesuffix(" --diffopt-gpu") or "pytest ..."
    return unproven(
        Concern.KERNELS,
        record.subject,
        f"no kernel can be counted on {record.seen_by}: nothing was watched",
        hint="kernels are counted on the null GPU, which needs a CUDA build of torch and no GPU: "
        f"{command} --diffopt-null-gpu",
    )


def _unsettled(record: KernelRecord) -> Verdict:
    return undecided(
        Concern.KERNELS,
        record.subject,
        f"each call launches something else ({_summary(record.phases)} in the last): nothing was compared",
        seen=f"on {record.seen_by}",
        hint="find what differs between equal calls: a recompile, autotuning, or a state that the call keeps",
    )


# ---- against a baseline


def _compared(record: KernelRecord, baseline: KernelBaseline, context: BaselineContext) -> Verdict:
    then = tuple(figures.as_record(phase) for phase, figures in baseline.phases.items())
    figures = PhaseKernels.sums if _are_other_versions(context) else PhaseKernels.all_figures
    changed = [*_step_changes(record, baseline), *_changes(record, baseline, then, figures)]
    is_same = not changed and record.unmodelled == baseline.unmodelled
    outcome = Outcome.PASSED if is_same else _outcome(record, baseline, then)
    headline = "the kernels improved" if outcome is Outcome.IMPROVED else "the kernels differ from the accepted ones"
    explanation = context.explain(
        outcome, headline, _facts(changed, record, baseline), seen=f"on {record.seen_by}, {record.subject}"
    )
    return Verdict(
        concern=Concern.KERNELS,
        outcome=outcome,
        subject=record.subject,
        summary=_summary(record.phases),
        explanation=() if is_same else explanation,
        figures=_totals(record.phases) | {f"accepted_{name}": total for name, total in _totals(then).items()},
        changes=tuple(changed),
        environment_changes=context.version_differences,
    )


def _are_other_versions(context: BaselineContext) -> bool:
    now, then = context.environment.versions, context.baseline.environment.versions
    return any(now.get(name) != then.get(name) for name in DECIDING_PACKAGES)


def _step_changes(record: KernelRecord, baseline: KernelBaseline) -> Iterator[FigureChange]:
    if record.num_steps != baseline.num_steps:
        yield FigureChange(where="the loop", figure="steps", before=baseline.num_steps, after=record.num_steps)


def _changes(
    record: KernelRecord,
    baseline: KernelBaseline,
    then: Iterable[PhaseKernels],
    figures: Callable[[PhaseKernels], dict[str, int]],
) -> Iterator[FigureChange]:
    return phase_changes(
        {phase.phase: figures(phase) for phase in record.phases},
        {phase.phase: figures(phase) for phase in then},
        same_steps=record.num_steps == baseline.num_steps,
    )


def _outcome(record: KernelRecord, baseline: KernelBaseline, then: Iterable[PhaseKernels]) -> Outcome:
    """Return `IMPROVED` only if a sum fell and none grew; other kernels with equal sums are a regression."""
    changed = [
        one for one in _changes(record, baseline, then, PhaseKernels.sums) if one.figure not in _WITHOUT_DIRECTION
    ]
    is_better = bool(changed) and all(one.after < one.before for one in changed)
    has_same_scope = record.num_steps == baseline.num_steps and record.unmodelled == baseline.unmodelled
    return Outcome.IMPROVED if is_better and has_same_scope else Outcome.REGRESSED


def _facts(changed: list[FigureChange], record: KernelRecord, baseline: KernelBaseline) -> list[str]:
    by_phase = {where: list(group) for where, group in groupby(changed, key=lambda one: one.where)}
    rows = [row for where, group in by_phase.items() for row in _rows(where, sorted(group, key=_rank))]
    return [*in_columns(rows), *_unmodelled(record, baseline)]


def _rows(where: str, changed: list[FigureChange]) -> Iterator[tuple[str, str]]:
    yield from ((where, _in_words(one)) for one in changed[:_SHOWN])
    if len(changed) > _SHOWN:
        yield where, f"and {counted(len(changed) - _SHOWN, 'more change')}"


def _rank(one: FigureChange) -> tuple[int, int]:
    """Sort the sums of launches first, then kernels and library calls with the largest change first, then the rest."""
    if "launches" in one.figure:
        return 0, 0
    return (2, 0) if one.figure.startswith(_NO_LAUNCHES) else (1, -abs(one.after - one.before))


def _in_words(one: FigureChange) -> str:
    if "bytes" in one.figure or "memory" in one.figure:
        return f"{one.figure} {size(one.before)} -> {size(one.after)}"
    relative = f" ({change(one.after / one.before - 1)})" if one.before and one.after else ""
    return f"{one.figure} {one.before:,} -> {one.after:,}{relative}"


def _unmodelled(record: KernelRecord, baseline: KernelBaseline) -> list[str]:
    if record.unmodelled == baseline.unmodelled:
        return []
    now, before = (", ".join(names) or "none" for names in (record.unmodelled, baseline.unmodelled))
    return [f"calls that are not modelled: {before} -> {now}"]


# ---- against a reference


def _ratio(now: int, other: int, demanded: float) -> str:
    required = f"at least {factor(demanded)}" if demanded > 1 else "fewer"
    return f"{now:,} launches, the reference {other:,}: {factor(other / now)} fewer ({required} required)"


def _not_fewer(record: FewerKernelsRecord, now: int, other: int, demanded: float) -> tuple[str, ...]:
    ours, theirs = (_kernel_totals(one.phases) for one in (record.counted, record.reference))
    most = sorted(ours.keys() | theirs.keys(), key=lambda name: (-abs(ours.get(name, 0) - theirs.get(name, 0)), name))
    shown = [name for name in most if ours.get(name, 0) != theirs.get(name, 0)][:_SHOWN]
    rows = (
        ("subject", str(record.counted.subject)),
        ("reference", str(record.reference.subject)),
    )
    return explain(
        _ratio(now, other, demanded),
        [*in_columns(rows), *(f"{name} {theirs.get(name, 0):,} -> {ours.get(name, 0):,}" for name in shown)],
        seen=f"on {record.counted.seen_by}, from the reference to the subject",
        hint="check that the optimization is applied; or lower by=... in the test",
    )


def _kernel_totals(phases: Iterable[PhaseKernels]) -> dict[str, int]:
    totals: dict[str, int] = {}
    for phase in phases:
        for name, number in {**phase.kernels, **phase.library_calls}.items():
            totals[name] = totals.get(name, 0) + number * len(single_steps(phase.phase))
    return totals


# ---- figures


def _totals(phases: Iterable[PhaseKernels]) -> dict[str, int]:
    """Return the totals of a call over its phases."""
    rows = [(phase.sums(), len(single_steps(phase.phase))) for phase in phases]
    names = ("launches", "launches in graphs", "graph launches")
    totals = {name.replace(" ", "_"): sum(row[name] * times for row, times in rows) for name in names}
    return totals | {"peak_allocated_bytes": max(row["peak memory allocated"] for row, _times in rows)}


def _summary(phases: Iterable[PhaseKernels]) -> str:
    totals = _totals(phases)
    graphs = ""
    if totals["graph_launches"]:
        share = percent(totals["launches_in_graphs"] / totals["launches"])
        graphs = f", {share} of them in {counted(totals['graph_launches'], 'CUDA graph')}"
    return f"{totals['launches']:,} launches{graphs}, peak {size(totals['peak_allocated_bytes'])}"
