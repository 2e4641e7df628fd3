"""A failure without a verdict is recorded with its reason, for every kind of report."""

import pytest

from pytest_diffopt.plugin.broken_tests import broken_test
from pytest_diffopt.session.ledger import BrokenTest

CRASH = "worker 'gw0' crashed while running 'test_it.py::test_one'"


def report(longrepr: str, when: str = "call") -> pytest.TestReport:
    """Return pytest's report of a failed phase."""
    return pytest.TestReport(
        nodeid="test_it.py::test_one",
        location=("test_it.py", 1, "test_one"),
        keywords={},
        outcome="failed",
        longrepr=longrepr,
        when=when,  # type: ignore[arg-type] # xdist writes ??? if a worker died
    )


def test_a_lost_worker_is_a_failure_of_its_test() -> None:
    """The report that xdist writes contains only a string."""
    broken = broken_test(report(CRASH, when="???"))

    assert broken == BrokenTest(nodeid="test_it.py::test_one", reason=CRASH, details=CRASH)


def test_the_reason_is_the_first_line_with_text() -> None:
    """A table shows one line."""
    assert broken_test(report("\n  no weights here\n  nor there")).reason == "no weights here"


def test_a_long_failure_keeps_its_end() -> None:
    """The end contains the error."""
    broken = broken_test(report("x" * 10_000 + " the end"))

    assert len(broken.details) == 4004
    assert broken.details.startswith("... x")
    assert broken.details.endswith(" the end")


def test_a_failure_without_a_message_has_a_reason() -> None:
    """The line in a table is never empty."""
    broken = broken_test(pytest.CollectReport(nodeid="test_it.py", outcome="failed", longrepr=None, result=None))

    assert broken.reason == "failed without a message"
