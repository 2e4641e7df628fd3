"""Judge effects exactly: a step cache that reuses another step, or any figure that changed, fails."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from pytest_diffopt.baselines.effect_document import EffectBaseline, EffectFigures
from pytest_diffopt.guards.baseline_comparison import incomparable, missing, what_differs
from pytest_diffopt.guards.comparison import BaselineContext
from pytest_diffopt.guards.effects import effect_line, judge_effects
from pytest_diffopt.guards.verdict import FigureChange, Outcome, Verdict
from pytest_diffopt.records import TAKEN_FROM_CACHE, Concern, EffectRecord, Environment, OptimizationEffect

_COMPUTED, _REUSED = "computed", "reused"


@dataclass(frozen=True, kw_only=True, slots=True)
class _StepChange:
    """The figure of one step that changed.

    Attributes:
        context: the name of the cache context.
        step: the denoise step, from 0.
        before: the accepted figure.
        after: the figure now.
    """

    context: str
    step: int
    before: int
    after: int


def judge_effect_changes(
    record: EffectRecord,
    baseline: EffectBaseline | None,
    *,
    environment: Environment,
    rerun: str,
    allow_unseen: Collection[str] = (),
) -> Verdict:
    """Compare the effect of each optimization, in the call and in each step, with the accepted one.

    An optimization without effect fails as in `judge_effects`, whatever was accepted.

    Args:
        record: the effects now.
        baseline: what was accepted; None when nothing was.
        environment: the versions now.
        rerun: the command that runs this test again, without `--diffopt-update`.
        allow_unseen: names of optimizations whose effect may be invisible on the device of the call.
    """
    verdict = judge_effects(record, allow_unseen=allow_unseen)
    if verdict.outcome is not Outcome.PASSED:
        return verdict
    if baseline is None:
        return missing(Concern.EFFECT, record.subject, figure=verdict.summary, environment=environment, rerun=rerun)
    if rows := what_differs(record.subject, environment, baseline):
        return incomparable(Concern.EFFECT, record.subject, rows=rows, rerun=rerun)
    return _compared(record, baseline, BaselineContext(environment=environment, baseline=baseline, rerun=rerun))


def _compared(record: EffectRecord, baseline: EffectBaseline, context: BaselineContext) -> Verdict:
    facts, changed = list(_loop_lines(record, baseline)), list[FigureChange]()
    for effect in record.effects:
        changed += _figure_changes(effect, baseline.effects.get(effect.name))
        facts += _lines(effect, baseline.effects.get(effect.name))
    outcome = Outcome.REGRESSED if facts else Outcome.PASSED
    explanation = context.explain(
        outcome,
        "the effects differ from the accepted ones",
        facts,
        seen=f"in one call on {record.seen_by}, {record.subject}",
    )
    return Verdict(
        concern=Concern.EFFECT,
        outcome=outcome,
        subject=record.subject,
        summary="; ".join(map(effect_line, record.effects)),
        explanation=explanation if facts else (),
        figures={"optimizations": len(record.effects), "changed": len({one.where for one in changed})},
        changes=tuple(changed),
        environment_changes=context.version_differences,
    )


def _loop_lines(record: EffectRecord, baseline: EffectBaseline) -> Iterator[str]:
    if record.num_steps != baseline.num_steps:
        yield f"the loop: {baseline.num_steps} -> {record.num_steps} steps"


def _figure_changes(effect: OptimizationEffect, known: EffectFigures | None) -> Iterator[FigureChange]:
    before = known.value if known else 0
    if effect.value != before and not effect.unseen:
        yield FigureChange(where=effect.name, figure=effect.figure, before=before, after=effect.value)


def _lines(effect: OptimizationEffect, known: EffectFigures | None) -> Iterator[str]:
    """Yield a line for the sum that changed, and one for each run of steps that changed alike."""
    if known is None:
        if not effect.unseen:
            yield f"{effect_line(effect)}; it was not seen when this was accepted"
        return
    if effect.unseen:
        yield f"{effect_line(effect)}; accepted: {known.value} {known.figure}"
        return
    if effect.figure != known.figure:
        yield f"{effect.name}: {known.value} {known.figure} -> {effect.value} {effect.figure}"
        return
    if effect.value != known.value:
        yield f"{effect.name}: {known.value} -> {effect.value} {effect.figure}"
    numbered = enumerate(_step_changes(effect.per_step, known.per_step))
    # In a run of consecutive steps, the step and its place in the list grow alike.
    for key, run in groupby(numbered, lambda one: (one[1].step - one[0], one[1].context, one[1].before, one[1].after)):
        _, context, before, after = key
        steps = [change.step for _, change in run]
        yield f"{effect.name}{_where(context, steps)}: {_change(effect.figure, before, after)}"


def _step_changes(now: Mapping[str, Sequence[int]], accepted: Mapping[str, Sequence[int]]) -> Iterator[_StepChange]:
    """Yield each step whose figure changed; a context that is missing in one of both counts as zeros."""
    for context in sorted({*now, *accepted}):
        after, before = now.get(context, ()), accepted.get(context, ())
        for step in range(min(len(after) or len(before), len(before) or len(after))):
            pair = (before[step] if before else 0, after[step] if after else 0)
            if pair[0] != pair[1]:
                yield _StepChange(context=context, step=step, before=pair[0], after=pair[1])


def _where(context: str, steps: Sequence[int]) -> str:
    numbers = f"steps {steps[0]}-{steps[-1]}" if len(steps) > 1 else f"step {steps[0]}"
    return f" of {context!r}, {numbers}" if context else f", {numbers}"


def _change(figure: str, before: int, after: int) -> str:
    """Write a change: of a step cache which of both ran, of any other figure the numbers."""
    if figure == TAKEN_FROM_CACHE and bool(before) != bool(after):
        return f"{_REUSED} -> {_COMPUTED}" if before else f"{_COMPUTED} -> {_REUSED}"
    return f"{before} -> {after}"
