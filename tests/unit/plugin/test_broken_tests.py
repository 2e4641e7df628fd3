"""A test that no verdict explains is written down with its reason, whatever kind of report tells of it."""

import pytest

from pytest_diffopt.plugin.broken_tests import broken_test
from pytest_diffopt.session.ledger import BrokenTest

CRASH = "worker 'gw0' crashed while running 'test_it.py::test_one'"


def report(longrepr: str, when: str = "call") -> pytest.TestReport:
    """Make what pytest reports of a phase that failed."""
    return pytest.TestReport(
        nodeid="test_it.py::test_one",
        location=("test_it.py", 1, "test_one"),
        keywords={},
        outcome="failed",
        longrepr=longrepr,
        when=when,  # type: ignore[arg-type] # xdist writes ??? where a worker died
    )


def test_a_worker_that_died_is_a_failure_of_its_test() -> None:
    """Its report, by xdist, holds a text alone."""
    told = broken_test(report(CRASH, when="???"))

    assert told == BrokenTest(nodeid="test_it.py::test_one", reason=CRASH, details=CRASH)


def test_the_reason_is_the_first_line_that_is_reportedmething() -> None:
    """In a table there is room for one."""
    assert broken_test(report("\n  no weights here\n  nor there")).reason == "no weights here"


def test_a_long_failure_keeps_its_end() -> None:
    """There stands what went wrong."""
    told = broken_test(report("x" * 10_000 + " the end"))

    assert len(told.details) == 4004
    assert told.details.startswith("... x")
    assert told.details.endswith(" the end")


def test_a_failure_without_a_word_is_reported() -> None:
    """A line in a table is never empty."""
    told = broken_test(pytest.CollectReport(nodeid="test_it.py", outcome="failed", longrepr=None, result=None))

    assert told.reason == "failed without a message"
