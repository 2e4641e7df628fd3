"""Reports list the most important verdict first."""

from pytest_diffopt.guards.verdict import Outcome
from pytest_diffopt.records import Concern
from pytest_diffopt.reports.order import BY_CONCERN, anchored, worst_first
from tests.unit.reports.verdict_examples import entry


def test_failures_come_first_then_unproven_verdicts() -> None:
    """An improvement of exact figures fails, one of noisy figures does not; ties keep their order."""
    exact_gain = entry(Outcome.IMPROVED, Concern.COUNTS, nodeid="counts")
    gain = entry(Outcome.IMPROVED, nodeid="gain")
    entries = [
        entry(nodeid="first"),
        gain,
        entry(Outcome.INCOMPARABLE, nodeid="other GPU"),
        entry(nodeid="second"),
        exact_gain,
        entry(Outcome.MISSING, nodeid="missing"),
        entry(Outcome.REGRESSED, nodeid="slower"),
    ]

    assert [one.nodeid for one in worst_first(entries)] == [
        "slower",
        "missing",
        "counts",
        "other GPU",
        "gain",
        "first",
        "second",
    ]


def test_a_wrong_image_comes_before_a_slow_call() -> None:
    """If both regressed; the anchor of a case is its position in this order."""
    slower = entry(Outcome.REGRESSED, nodeid="slower")
    other_image = entry(Outcome.REGRESSED, Concern.IMAGES, nodeid="another image")

    assert anchored([entry(), slower, other_image]) == [
        ("case-1", other_image),
        ("case-2", slower),
        ("case-3", entry()),
    ]


def test_every_concern_has_a_rank() -> None:
    """A missing one would raise an error."""
    assert set(BY_CONCERN) == set(Concern)
