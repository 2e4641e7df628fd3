"""Tests that failed without a verdict, as pytest's own reports tell it."""

import pytest

from pytest_diffopt.session.ledger import BrokenTest

# The end of a failure says what went wrong, its beginning which test it was.
_LONGEST_DETAILS = 4000


def broken_test(report: pytest.TestReport | pytest.CollectReport) -> BrokenTest:
    """Return what a failed report says; a test whose xdist worker died has one, and so has a file that is no Python."""
    text = report.longreprtext
    details = text if len(text) <= _LONGEST_DETAILS else "... " + text[-_LONGEST_DETAILS:]
    return BrokenTest(nodeid=report.nodeid, reason=_first_line(report), details=details)


def _first_line(report: pytest.TestReport | pytest.CollectReport) -> str:
    """Return the first line of the error itself, where pytest tells it apart from its traceback."""
    crash = getattr(report.longrepr, "reprcrash", None)
    lines = (crash.message if crash is not None else report.longreprtext).splitlines()
    return next((line.strip() for line in lines if line.strip()), "failed without a message")
