"""The rules of the guards that need no baseline: what is red, what is green, and the figures of each."""

import math
from dataclasses import replace

import pytest

from pytest_diffopt.code_location import CodeLocation
from pytest_diffopt.guards.applied import judge_applied
from pytest_diffopt.guards.compilation import judge_graph_breaks, judge_recompiles
from pytest_diffopt.guards.images import ImageThresholds, judge_images
from pytest_diffopt.guards.repeatability import judge_repeatability
from pytest_diffopt.guards.syncs import AllowedSyncs, judge_syncs
from pytest_diffopt.guards.verdict import Outcome
from pytest_diffopt.records import (
    AppliedRecord,
    CompilationRecord,
    CompiledFrame,
    GraphBreak,
    ImageDifference,
    ImageRecord,
    ObservedSync,
    OptimizationState,
    RecompileRecord,
    RepeatabilityRecord,
    Subject,
    SyncRecord,
    VariationRecompiles,
)

SUBJECT = Subject(pipeline="sdxl", scale="tiny", recipe="bf16")
WHERE = CodeLocation(file="mine.py", line=3, function="step", source="x = y.item()")
FRAME = CompiledFrame(
    where=WHERE, compile_id="0/0", operations=2, guards=9, is_compiled=True, recompile_reason="", compile_ns=5
)
GIVEN_UP = CompiledFrame(
    where=WHERE, compile_id="1/0", operations=0, guards=0, is_compiled=False, recompile_reason="", compile_ns=5
)
BREAK = GraphBreak(where=WHERE, reason="Tensor.item()")


@pytest.mark.parametrize(
    ("missing", "outcome"), [((), Outcome.PASSED), (("3 of 4 layers are not",), Outcome.REGRESSED)]
)
def test_an_optimization_of_which_anything_is_missing_is_red(missing: tuple[str, ...], outcome: Outcome) -> None:
    """All of it, or red."""
    state = OptimizationState(name="bf16", found="1 of 4", missing=missing)
    verdict = judge_applied(AppliedRecord(subject=SUBJECT, optimizations=(state,)))

    assert verdict.outcome is outcome
    assert bool(verdict.explanation) == bool(missing)
    assert verdict.figures == {"optimizations": 1, "unapplied": len(missing)}


@pytest.mark.parametrize(
    ("breaks", "max_breaks", "ended", "outcome"),
    [
        (0, 0, False, Outcome.PASSED),
        (1, 0, False, Outcome.REGRESSED),
        (1, 1, False, Outcome.PASSED),
        (2, 1, False, Outcome.REGRESSED),
        (1, 9, True, Outcome.REGRESSED),
    ],
)
def test_breaks_are_counted_against_the_allowance(
    breaks: int, max_breaks: int, *, ended: bool, outcome: Outcome
) -> None:
    """A call that a break ended is never green."""
    record = CompilationRecord(subject=SUBJECT, frames=(FRAME,), breaks=(BREAK,) * breaks, ended_by_fullgraph=ended)
    verdict = judge_graph_breaks(record, max_breaks=max_breaks)

    assert verdict.outcome is outcome
    assert verdict.figures == {"graph_breaks": breaks, "compiled_frames": 1}


@pytest.mark.parametrize(
    ("frames", "max_recompiles", "outcome"),
    [(0, 0, Outcome.PASSED), (1, 0, Outcome.REGRESSED), (1, 1, Outcome.PASSED)],
)
def test_recompiles_are_counted_against_the_allowance(frames: int, max_recompiles: int, outcome: Outcome) -> None:
    """Over all varied calls."""
    variation = VariationRecompiles(variation="another seed", frames=(FRAME,) * frames)
    record = RecompileRecord(subject=SUBJECT, warmup_frames=(FRAME,), variations=(variation,))
    verdict = judge_recompiles(record, max_recompiles=max_recompiles)

    assert verdict.outcome is outcome
    assert verdict.figures == {"recompiles": frames, "calls": 1}


def test_frames_that_were_given_up_are_no_compilation() -> None:
    """Nothing that was compiled can recompile, and nothing was checked."""
    record = RecompileRecord(subject=SUBJECT, warmup_frames=(GIVEN_UP,), variations=())

    assert judge_recompiles(record).summary == "nothing compiled"
    assert judge_recompiles(record).outcome is Outcome.REGRESSED


@pytest.mark.parametrize(
    ("field", "value"),
    [("ssim", 0.94), ("psnr_db", 29.9), ("max_error", 0.36), ("mean_error", 0.021), ("ssim", math.nan)],
)
def test_each_threshold_holds_by_itself(field: str, value: float) -> None:
    """One figure past its threshold is enough, and NaN is past every one."""
    good = ImageDifference(ssim=0.95, psnr_db=30.0, max_error=0.35, mean_error=0.02)
    fine = ImageRecord(subject=SUBJECT, differences=(good,))
    bad = ImageRecord(subject=SUBJECT, differences=(replace(good, **{field: value}),))  # type: ignore[arg-type]  # a figure

    assert judge_images(fine, ImageThresholds()).outcome is Outcome.PASSED
    assert judge_images(bad, ImageThresholds()).outcome is Outcome.REGRESSED
    assert len(judge_images(bad, ImageThresholds()).explanation) == 4


@pytest.mark.parametrize(
    ("differing", "error", "bound", "outcome"),
    [
        (0, 0.0, 0.0, Outcome.PASSED),
        (1, 0.1, 0.0, Outcome.REGRESSED),
        (1, 0.1, 0.1, Outcome.PASSED),
        (1, 0.11, 0.1, Outcome.REGRESSED),
        (1, math.nan, 0.1, Outcome.REGRESSED),
    ],
)
def test_repeats_are_equal_or_within_the_bound(differing: int, error: float, bound: float, outcome: Outcome) -> None:
    """A NaN that only one of the calls has is within no bound."""
    record = RepeatabilityRecord(subject=SUBJECT, differing_values=differing, values=4, max_error=error)

    assert judge_repeatability(record, max_error=bound).outcome is outcome


def syncs(*steps: int) -> SyncRecord:
    """Wait once in each of these steps, of three."""
    seen = tuple(ObservedSync(kind="read by the host", operation=".item()", where=WHERE, step=step) for step in steps)
    return SyncRecord(subject=SUBJECT, num_steps=3, syncs=seen, seen_by="the simulated GPU")


def allowed(per_step: int, first_step: int | None = None) -> AllowedSyncs:
    """Allow waits at the one place."""
    return AllowedSyncs(where="mine.py:step", per_step=per_step, first_step=first_step, reason="reads the noise")


@pytest.mark.parametrize(
    ("steps", "allow", "outcome"),
    [
        ((), [], Outcome.PASSED),
        ((0,), [], Outcome.REGRESSED),
        ((2,), [], Outcome.REGRESSED),
        ((0, 1, 2), [allowed(1)], Outcome.PASSED),
        ((0, 1, 1, 2), [allowed(1)], Outcome.REGRESSED),
        ((0, 1, 2), [allowed(2)], Outcome.REGRESSED),
        ((0,), [allowed(0, first_step=1)], Outcome.PASSED),
        ((0, 1), [allowed(0, first_step=1)], Outcome.REGRESSED),
        ((), [allowed(1)], Outcome.REGRESSED),
    ],
)
def test_waits_are_held_to_their_allowance(steps: tuple[int, ...], allow: list[AllowedSyncs], outcome: Outcome) -> None:
    """No more than allowed in any step, and no allowance that is not needed."""
    verdict = judge_syncs(syncs(*steps), allow=allow)

    assert verdict.outcome is outcome
    assert bool(verdict.explanation) == (outcome is Outcome.REGRESSED)


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"where": "step"}, r"^AllowedSyncs\(where=...\) must be 'file.py:function', got: 'step'$"),
        ({"reason": " "}, r"^AllowedSyncs\(reason=...\) must say why mine.py:step may wait, got: ' '$"),
        ({"per_step": 0}, r"must allow a positive number of waits, got: "),
        ({"per_step": -1}, r"must allow a positive number of waits, got: "),
    ],
)
def test_an_allowance_says_where_how_often_and_why(keywords: dict[str, object], message: str) -> None:
    """Otherwise nobody could tell later what was accepted."""
    good: dict[str, object] = {"where": "mine.py:step", "per_step": 1, "reason": "reads the noise"}

    with pytest.raises(ValueError, match=message):
        AllowedSyncs(**(good | keywords))  # type: ignore[arg-type]  # that is the test
