"""A figure is compared within a tolerance, and the explanation gives the command that fits the outcome."""

import pytest

from pytest_diffopt.guards.comparison import (
    MEASURE_LONGER,
    Comparison,
    accept_hint,
    allowed_difference,
    speed_change,
    undecided,
    worst_outcome,
)
from pytest_diffopt.guards.verdict import Outcome
from pytest_diffopt.records import Concern
from tests.unit.guards.guard_examples import RERUN, SEEN, SUBJECT


def compare(now: float, *, accepted: float = 100, tolerance: float = 5) -> Comparison:
    """Return a comparison with an accepted figure of 100 and a tolerance of 5."""
    return Comparison(now=now, accepted=accepted, tolerance=tolerance)


@pytest.mark.parametrize(
    ("now", "outcome"),
    [
        (105, Outcome.PASSED),
        (105.1, Outcome.REGRESSED),
        (95, Outcome.PASSED),
        (94.9, Outcome.IMPROVED),
    ],
)
def test_a_figure_at_the_tolerance_passes(now: float, outcome: Outcome) -> None:
    """In both directions."""
    assert compare(now).outcome is outcome


def test_the_larger_of_margin_and_floor_is_the_tolerance() -> None:
    """The margin is relative to the accepted figure."""
    assert Comparison.within(1, 100, margin=0.05, floor=4).tolerance == 5
    assert Comparison.within(1, 100, margin=0.05, floor=6).tolerance == 6


def test_the_relative_change_and_the_limit() -> None:
    """Both relate to the accepted figure."""
    grown = compare(150)

    assert grown.relative_change == 0.5
    assert grown.limit == 105


@pytest.mark.parametrize(
    ("figures", "outcome"),
    [((90, 110), Outcome.REGRESSED), ((90, 100), Outcome.IMPROVED), ((100, 100), Outcome.PASSED)],
)
def test_one_regression_outweighs_any_improvement(figures: tuple[float, ...], outcome: Outcome) -> None:
    """The worst of several figures is the outcome."""
    assert worst_outcome([compare(now) for now in figures]) is outcome


def test_an_inconclusive_verdict_has_its_reason_and_a_hint() -> None:
    """The headline is the summary where no other is given."""
    verdict = undecided(Concern.LATENCY, SUBJECT, "too few calls", facts=["one"], seen="on a GPU", hint="add calls")

    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert verdict.summary == "too few calls"
    assert verdict.explanation == ("diffopt: too few calls", "  one", f"seen on a GPU, {SEEN}", "add calls")


def test_each_outcome_has_its_hint() -> None:
    """A change has the command that accepts it; an inconclusive measurement must be longer."""
    assert accept_hint(Outcome.REGRESSED, RERUN) == f"to accept this: {RERUN} --diffopt-update all"
    assert accept_hint(Outcome.IMPROVED, RERUN) == f"to keep the gain: {RERUN} --diffopt-update all"
    assert accept_hint(Outcome.INCONCLUSIVE, RERUN) == MEASURE_LONGER


def test_changes_are_written_with_their_direction() -> None:
    """A faster call has a positive percentage."""
    assert speed_change(Outcome.REGRESSED, 0.05) == "the call became 5.0 % slower"
    assert speed_change(Outcome.IMPROVED, -0.05) == "the call became 5.0 % faster"
    assert allowed_difference(0.05, "1.00 ms") == "5.0 % or 1.00 ms allowed, whichever is larger"
