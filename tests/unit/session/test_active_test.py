"""The test that runs now is known to its assertions, and to nothing after it."""

import pytest

from pytest_diffopt.guards.repeatability import judge_repeatability
from pytest_diffopt.records import RepeatabilityRecord, Subject
from pytest_diffopt.session.active_test import ActiveTest, active_test, running
from pytest_diffopt.session.ledger_entries import entry_of
from pytest_diffopt.session.settings import Settings

RECORD = RepeatabilityRecord(subject=Subject(pipeline="sdxl"), differing_values=0, values=4, max_error=0.0)
ENTRY = entry_of("test_x", judge_repeatability(RECORD), RECORD)


def test_the_running_test_is_the_active_one_inside_its_block() -> None:
    """A test within a test, as pytester runs them, is the active one until it ends."""
    outer, inner = ActiveTest(nodeid="outer"), ActiveTest(nodeid="inner")
    before = active_test()
    with running(outer):
        first = active_test()
        with running(inner):
            second = active_test()
        third = active_test()

    assert (first, second, third) == (outer, inner, outer)
    assert active_test() is before


def test_a_test_that_fails_is_no_longer_active() -> None:
    """The next one starts clean."""
    before = active_test()

    with pytest.raises(RuntimeError), running(ActiveTest(nodeid="failing")):
        raise RuntimeError

    assert active_test() is before


def test_outside_of_pytest_there_is_a_stand_in() -> None:
    """Assertions work in a script: plain settings, no recipe, no fixtures."""
    with running(None):  # type: ignore[arg-type]  # as outside of every block
        stand_in = active_test()

    assert (stand_in.nodeid, stand_in.settings, stand_in.recipe_text, stand_in.fixtures()) == ("", Settings(), "", {})


def test_entries_are_taken_once() -> None:
    """A report carries each verdict, and the next report not again."""
    test = ActiveTest(entries=[ENTRY])

    assert test.take_entries() == [ENTRY]
    assert test.take_entries() == []
