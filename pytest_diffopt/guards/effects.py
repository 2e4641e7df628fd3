"""Judge whether every optimization of a recipe had an effect in a call."""

from collections.abc import Collection, Iterator, Sequence

from pytest_diffopt.guards.failure_text import are, counted, explain, size
from pytest_diffopt.guards.verdict import Outcome, Verdict
from pytest_diffopt.records import Concern, EffectRecord, OptimizationEffect

_SHOWN_STEPS = 12
_NOTHING_SEEN = "no matrix product, convolution or attention of the call was seen: nothing was watched"


def judge_effects(record: EffectRecord, *, allow_unseen: Collection[str] = ()) -> Verdict:
    """Judge a record: an optimization without effect is a regression, and one that cannot be seen is unwatched.

    Args:
        record: the effects of one call.
        allow_unseen: names of optimizations whose effect may be invisible on the device of the call.
    """
    without = [effect for effect in record.effects if effect.has_none]
    unseen = [one for one in record.effects if one.unseen and one.name.partition("(")[0] not in allow_unseen]
    if not record.operations:
        return _verdict(record, Outcome.UNWATCHED, _NOTHING_SEEN, _not_watched(record))
    if without:
        names = ", ".join(effect.name for effect in without)
        return _verdict(record, Outcome.REGRESSED, f"no effect: {names}", _no_effect(record, without))
    if unseen:
        names = ", ".join(effect.name for effect in unseen)
        return _verdict(record, Outcome.UNWATCHED, f"effect not seen: {names}", _not_seen(record, unseen))
    return _verdict(record, Outcome.PASSED, "; ".join(map(effect_line, record.effects)), ())


def effect_line(effect: OptimizationEffect) -> str:
    """Write an effect in one line."""
    if effect.unseen:
        return f"{effect.name}: not seen ({effect.unseen})"
    value = size(effect.value) if effect.unit == "bytes" else str(effect.value)
    return f"{effect.name}: {value} {effect.figure}{_passed_bytes(effect.bytes_per_step)}"


def _passed_bytes(per_step: Sequence[int]) -> str:
    """Write the bytes of each step, which are often equal."""
    if not any(per_step):
        return ""
    least, most = size(min(per_step)), size(max(per_step))
    each = least if least == most else f"{least} to {most}"
    return f", {each} passed to them per step"


def _verdict(record: EffectRecord, outcome: Outcome, summary: str, explanation: tuple[str, ...]) -> Verdict:
    return Verdict(
        concern=Concern.EFFECT,
        outcome=outcome,
        subject=record.subject,
        summary=summary,
        explanation=explanation,
        figures={
            "optimizations": len(record.effects),
            "without_effect": sum(effect.has_none for effect in record.effects),
            "unseen": sum(bool(effect.unseen) for effect in record.effects),
        },
    )


def _no_effect(record: EffectRecord, without: Sequence[OptimizationEffect]) -> tuple[str, ...]:
    total = counted(len(record.effects), "optimization")
    verb = "has" if len(without) == 1 else "have"
    return explain(
        f"{len(without)} of {total} {verb} no effect, or not everywhere",
        [line for effect in without for line in _lines(effect)],
        seen=f"in one call on {record.seen_by}, {record.subject}",
        hint="fix how it is applied or how the pipeline is called, or remove it from the recipe",
    )


def _lines(effect: OptimizationEffect) -> Iterator[str]:
    yield effect_line(effect)
    for context, counts in effect.per_step.items():
        if effect.value and 0 in counts:
            where = f" of {context!r}" if context else ""
            more = ", ..." if len(counts) > _SHOWN_STEPS else ""
            yield f"  per step{where}: {', '.join(map(str, counts[:_SHOWN_STEPS]))}{more}"
    for line in effect.lacking:
        yield f"  lacking: {line}"


def _not_seen(record: EffectRecord, unseen: Sequence[OptimizationEffect]) -> tuple[str, ...]:
    names = sorted({effect.name.partition("(")[0] for effect in unseen})
    quoted = ", ".join(f'"{name}"' for name in names)
    return explain(
        f"the effect of {counted(len(unseen), 'optimization')} cannot be seen in this call",
        [f"{effect.name}: {effect.unseen}" for effect in unseen],
        seen=f"in one call on {record.seen_by}, {record.subject}",
        hint=f"run the test where it can be seen, or pass allow_unseen=[{quoted}] to judge it only there",
    )


def _not_watched(record: EffectRecord) -> tuple[str, ...]:
    names = counted(len(record.effects), "optimization")
    return explain(
        _NOTHING_SEEN,
        [f"{names} {are(len(record.effects))} requested"],
        seen=f"in one call on {record.seen_by}, {record.subject}",
        hint="the call must run the pipeline's own modules: pass the pipeline itself, and do not replace its modules",
    )
