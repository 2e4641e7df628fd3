"""A test that no verdict explains is written down with its reason, whatever kind of report tells of it."""

from typing import Literal

import pytest

from pytest_diffopt.guards.verdict import Outcome, Verdict
from pytest_diffopt.ledger import Ending, LedgerEntry, UnjudgedTest
from pytest_diffopt.records import Concern, Subject
from pytest_diffopt.unjudged import uncollected, unjudged


def report(
    outcome: Literal["passed", "failed", "skipped"], longrepr: object = None, when: str = "call"
) -> pytest.TestReport:
    """Make what pytest reports of one phase."""
    return pytest.TestReport(
        nodeid="test_it.py::test_one",
        location=("test_it.py", 1, "test_one"),
        keywords={},
        outcome=outcome,
        longrepr=longrepr,  # type: ignore[arg-type] # what plugins put there
        when=when,  # type: ignore[arg-type] # xdist writes ??? where a worker died
    )


def entry(outcome: Outcome) -> LedgerEntry:
    """Make a verdict of the same test."""
    verdict = Verdict(concern=Concern.SYNCS, outcome=outcome, subject=Subject(pipeline="sdxl"), summary="")
    return LedgerEntry(nodeid="test_it.py::test_one", verdict=verdict, record={})


def test_a_red_verdict_explains_its_failure() -> None:
    """A green one in a test that failed afterwards does not."""
    failed = report("failed", "E  assert 1 == 2")

    assert unjudged(failed, [entry(Outcome.REGRESSED)], belongs_to_diffopt=True) is None
    assert unjudged(failed, [entry(Outcome.PASSED)], belongs_to_diffopt=True) is not None


def test_a_worker_that_died_is_a_failure_of_its_test() -> None:
    """Its report, by xdist, holds a text alone, and nobody marked it as ours."""
    crash = report("failed", "worker 'gw0' crashed while running 'test_it.py::test_one'", when="???")

    assert unjudged(crash, [], belongs_to_diffopt=False) == UnjudgedTest(
        nodeid="test_it.py::test_one",
        ending=Ending.FAILED,
        reason="worker 'gw0' crashed while running 'test_it.py::test_one'",
        details="worker 'gw0' crashed while running 'test_it.py::test_one'",
    )


def test_a_long_failure_keeps_its_end() -> None:
    """There stands what went wrong."""
    told = unjudged(report("failed", "x" * 10_000 + " the end"), [], belongs_to_diffopt=True)

    assert told is not None
    assert len(told.details) == 4004
    assert told.details.startswith("... x")
    assert told.details.endswith(" the end")


def test_skipped_tests_are_told_where_they_are_ours() -> None:
    """Not those of somebody else, not what a verdict explains, and not what is expected to fail."""
    skipped = report("skipped", ("test_it.py", 3, "Skipped: needs a GPU"), when="setup")
    told = unjudged(skipped, [], belongs_to_diffopt=True)
    expected = report("skipped", "reason")
    vars(expected)["wasxfail"] = "known"

    assert told == UnjudgedTest(nodeid="test_it.py::test_one", ending=Ending.SKIPPED, reason="needs a GPU")
    assert unjudged(skipped, [], belongs_to_diffopt=False) is None
    assert unjudged(skipped, [entry(Outcome.INCONCLUSIVE)], belongs_to_diffopt=True) is None
    assert unjudged(expected, [], belongs_to_diffopt=True) is None


def test_what_passed_is_not_told() -> None:
    """Nor is it a failure to have nothing to say."""
    assert unjudged(report("passed"), [], belongs_to_diffopt=True) is None


def test_a_failure_without_a_word_says_so() -> None:
    """A line in a table is never empty."""
    told = uncollected(pytest.CollectReport(nodeid="test_it.py", outcome="failed", longrepr=None, result=None))

    assert told.reason == "failed without a message"
