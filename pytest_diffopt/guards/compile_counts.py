"""Judge the compile counts of each function exactly: any change fails, and a gain must be accepted."""

from collections.abc import Collection, Iterator

from pytest_diffopt.baselines.documents import CompileBaseline
from pytest_diffopt.baselines.figures import RegionFigures, figures_of
from pytest_diffopt.guards.baseline_comparison import incomparable, missing, what_differs
from pytest_diffopt.guards.comparison import BaselineContext
from pytest_diffopt.guards.compilation import captured_lines
from pytest_diffopt.guards.failure_text import counted, in_columns
from pytest_diffopt.guards.unwatched import no_graph_ran
from pytest_diffopt.guards.verdict import FigureChange, Outcome, Verdict
from pytest_diffopt.records import CompileCountRecord, Concern, Environment, RegionCounts

# More captured operators are neither better nor worse: fewer breaks capture more, and better code has fewer.
# A region that recomputes less reuses fewer buffers, and a smaller graph has fewer kernels and calls to begin with.
_WITHOUT_DIRECTION = frozenset({"operations", "reused_buffers"})
_FIGURES = ("graphs", "breaks", "recompiles", "operations", "guards")
# What Inductor generates is exact under one torch and Triton.
_OF_INDUCTOR = ("symbolic_sizes", "generated_kernels", "external_calls", "fallbacks", "reused_buffers")


def judge_compile_counts(
    record: CompileCountRecord, baseline: CompileBaseline | None, *, environment: Environment, rerun: str
) -> Verdict:
    """Compare graphs, breaks, recompiles, operators and guards of each function with the accepted ones.

    Guards are compared only under the same torch release and build. Each release of Dynamo sets different guards, and
    traced code that parses torch's version gets guards that depend on the build's name. What Inductor generated is
    compared only under the same torch and Triton. Counts of a call that ran no compiled graph are unwatched.

    Args:
        record: the counts now.
        baseline: what was accepted; None when nothing was.
        environment: the versions now.
        rerun: the command that runs this test again, without `--diffopt-update`.
    """
    if not record.is_watched:
        functions = ((one.region, one.graphs, one.operations) for one in record.regions)
        return no_graph_ran(Concern.COMPILATION, record.subject, "the call", captured_lines(functions))
    if baseline is None:
        figure = _summary(record)
        return missing(Concern.COMPILATION, record.subject, figure=figure, environment=environment, rerun=rerun)
    if rows := what_differs(record.subject, environment, baseline):
        return incomparable(Concern.COMPILATION, record.subject, rows=rows, rerun=rerun)
    return _compared(record, baseline, BaselineContext(environment=environment, baseline=baseline, rerun=rerun))


def _compared(record: CompileCountRecord, baseline: CompileBaseline, context: BaselineContext) -> Verdict:
    ignored = _ignored(context.environment, baseline)
    changed = [one for one in _changes(record, baseline) if one.figure not in ignored]
    gone = [name for name in baseline.regions if name not in {counts.region for counts in record.regions}]
    outcome = _outcome(changed, gone)
    return Verdict(
        concern=Concern.COMPILATION,
        outcome=outcome,
        subject=record.subject,
        summary=_summary(record),
        explanation=() if outcome is Outcome.PASSED else _explanation(outcome, changed, gone, record, context),
        figures=_totals(record.regions)
        | {f"accepted_{name}": total for name, total in _totals(baseline.regions.values()).items()},
        changes=tuple(changed),
        environment_changes=context.version_differences,
    )


def _explanation(
    outcome: Outcome, changed: list[FigureChange], gone: list[str], record: CompileCountRecord, context: BaselineContext
) -> tuple[str, ...]:
    is_better = outcome is Outcome.IMPROVED
    return context.explain(
        outcome,
        "the compile counts improved" if is_better else "the compile counts differ from the accepted ones",
        [
            *in_columns(
                (one.where, f"{one.figure.replace('_', ' ')} {one.before:,} -> {one.after:,}") for one in changed
            ),
            *(f"{name} is no longer compiled" for name in gone),
        ],
        seen=f"while compiling {record.subject}",
    )


def _ignored(environment: Environment, baseline: CompileBaseline) -> frozenset[str]:
    now, then = environment.versions, baseline.environment.versions
    if now.get("torch") != then.get("torch"):
        return frozenset({"guards", *_OF_INDUCTOR})
    return frozenset() if now.get("triton") == then.get("triton") else frozenset(_OF_INDUCTOR)


def _changes(record: CompileCountRecord, baseline: CompileBaseline) -> Iterator[FigureChange]:
    for counts in record.regions:
        known = baseline.regions.get(counts.region)
        before = figures_of(known) if known else {}
        for figure, after in figures_of(counts).items():
            if after != before.get(figure, 0):
                yield FigureChange(where=counts.region, figure=figure, before=before.get(figure, 0), after=after)


def _outcome(changed: list[FigureChange], gone: list[str]) -> Outcome:
    """Return `IMPROVED` only if every cost fell and no function is missing."""
    if not changed and not gone:
        return Outcome.PASSED
    costs = [one for one in changed if one.figure not in _WITHOUT_DIRECTION]
    is_better = bool(costs) and not gone and all(one.after < one.before for one in costs)
    return Outcome.IMPROVED if is_better else Outcome.REGRESSED


def _totals(regions: Collection[RegionCounts] | Collection[RegionFigures]) -> dict[str, float]:
    return {name: sum(figures_of(counts)[name] for counts in regions) for name in (*_FIGURES, *_OF_INDUCTOR)}


def _summary(record: CompileCountRecord) -> str:
    totals = _totals(record.regions)
    shown = (*_FIGURES, "generated_kernels") if totals["generated_kernels"] else _FIGURES
    figures = ", ".join(counted(int(totals[name]), name.removesuffix("s").replace("_", " ")) for name in shown)
    return f"{counted(len(record.regions), 'function')}: {figures}"
