"""Tests that failed without a verdict, from pytest's reports."""

import pytest

from pytest_diffopt.session.ledger import BrokenTest

# The end of a failure shows the error, its beginning the test.
_LONGEST_DETAILS = 4000


def broken_test(report: pytest.TestReport | pytest.CollectReport) -> BrokenTest:
    """Return the failure of a report: of a test, of a crashed xdist worker, or of a file that is not valid Python."""
    text = report.longreprtext
    details = text if len(text) <= _LONGEST_DETAILS else "... " + text[-_LONGEST_DETAILS:]
    return BrokenTest(nodeid=report.nodeid, reason=_first_line(report), details=details)


def _first_line(report: pytest.TestReport | pytest.CollectReport) -> str:
    """Return the first line of the error, without its traceback if pytest separates them."""
    crash = getattr(report.longrepr, "reprcrash", None)
    lines = (crash.message if crash is not None else report.longreprtext).splitlines()
    return next((line.strip() for line in lines if line.strip()), "failed without a message")
