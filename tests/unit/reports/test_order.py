"""The worst verdict is read first."""

from pytest_diffopt.guards.verdict import Outcome
from pytest_diffopt.records import Concern
from pytest_diffopt.reports.order import BY_CONCERN, anchored, worst_first
from tests.unit.reports.verdict_examples import entry


def test_red_comes_first_then_what_proved_nothing() -> None:
    """A gain in exact figures is red, one in noisy figures is not; equal ones keep their order."""
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
    """Of equally bad ones; what page and summary name a case by is its place among them."""
    slower = entry(Outcome.REGRESSED, nodeid="slower")
    other_image = entry(Outcome.REGRESSED, Concern.IMAGES, nodeid="another image")

    assert anchored([entry(), slower, other_image]) == [
        ("case-1", other_image),
        ("case-2", slower),
        ("case-3", entry()),
    ]


def test_every_concern_has_its_place() -> None:
    """A new one would end in an error."""
    assert set(BY_CONCERN) == set(Concern)
