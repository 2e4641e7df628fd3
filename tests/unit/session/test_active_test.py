"""Assertions can access the running test until it ends."""

import pytest

from pytest_diffopt.guards.repeatability import judge_repeatability
from pytest_diffopt.records import RepeatabilityRecord, Subject
from pytest_diffopt.session.active_test import ActiveTest, active_test, running
from pytest_diffopt.session.ledger_entries import entry_of
from pytest_diffopt.session.settings import Settings

RECORD = RepeatabilityRecord(subject=Subject(pipeline="sdxl"), differing_values=0, values=4, max_error=0.0)
ENTRY = entry_of("test_x", judge_repeatability(RECORD), RECORD)


def test_the_innermost_running_test_is_active() -> None:
    """Pytester runs a test within a test; when it ends, the outer one is active again."""
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
    """The next test does not see it."""
    before = active_test()

    with pytest.raises(RuntimeError), running(ActiveTest(nodeid="failing")):
        raise RuntimeError

    assert active_test() is before


def test_outside_of_pytest_a_default_test_is_active() -> None:
    """Assertions work in a script, with default settings, no recipe and no fixtures."""
    active_test()  # the first use in a session makes the running test active, which the block below hides
    with running(None):  # type: ignore[arg-type]  # the state outside of every block
        default = active_test()

    assert (default.nodeid, default.settings, default.recipe_text, default.fixtures()) == ("", Settings(), "", {})


def test_entries_are_taken_once() -> None:
    """Each verdict is attached to one report only."""
    test = ActiveTest(entries=[ENTRY])

    assert test.take_entries() == [ENTRY]
    assert test.take_entries() == []
