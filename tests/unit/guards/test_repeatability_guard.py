"""A second call that gives a different image fails, unless it is within a stated bound."""

import math

import pytest

from pytest_diffopt.guards.repeatability import judge_repeatability
from pytest_diffopt.guards.verdict import Outcome
from pytest_diffopt.records import Concern, RepeatabilityRecord
from tests.unit.guards.guard_examples import SEEN, SUBJECT


def record(differing: int, max_error: float) -> RepeatabilityRecord:
    """Return a record in which this many of 12288 values differed by up to this much."""
    return RepeatabilityRecord(subject=SUBJECT, differing_values=differing, values=12288, max_error=max_error)


def test_equal_bits_pass() -> None:
    """There is no explanation."""
    verdict = judge_repeatability(record(0, 0.0))

    assert verdict.outcome is Outcome.PASSED
    assert verdict.concern is Concern.REPEATABILITY
    assert verdict.summary == "equal bits"
    assert verdict.explanation == ()
    assert verdict.figures == {"differing_values": 0, "max_error": 0.0}


def test_another_image_fails() -> None:
    """How many values differ, by how much, and where to look."""
    verdict = judge_repeatability(record(1536, 0.00390625))

    assert verdict.outcome is Outcome.REGRESSED
    assert verdict.summary == "largest difference 0.00391"
    assert verdict.explanation == (
        "diffopt: the same call gave a different image the second time",
        "  1536 of 12288 values differ (12.5%)",
        "  largest difference 0.00391 (0 allowed)",
        f"seen in {SEEN}",
        (
            "look for state kept between calls: an output buffer that is reused, a scheduler that is not reset, "
            "a generator that is not seeded; or allow a bound: max_error=..."
        ),
    )
    assert verdict.figures == {"differing_values": 1536, "max_error": 0.00390625}


@pytest.mark.parametrize(
    ("error", "outcome"),
    [(0.01, Outcome.PASSED), (0.0101, Outcome.REGRESSED), (math.nan, Outcome.REGRESSED), (math.inf, Outcome.REGRESSED)],
)
def test_a_stated_bound_is_what_is_allowed(error: float, outcome: Outcome) -> None:
    """A difference at the bound passes; above it or NaN it fails."""
    assert judge_repeatability(record(5, error), max_error=0.01).outcome is outcome


def test_the_bound_is_in_the_message() -> None:
    """The figure is followed by what is allowed."""
    verdict = judge_repeatability(record(1, 0.5), max_error=0.01)

    assert verdict.explanation[2] == "  largest difference 0.5 (0.01 allowed)"
