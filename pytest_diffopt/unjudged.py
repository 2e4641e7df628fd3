"""Which tests ended without a verdict that says so, as pytest's own reports tell it."""

from collections.abc import Sequence

import pytest

from pytest_diffopt.guards.verdict import UNPROVEN
from pytest_diffopt.ledger import Ending, LedgerEntry, UnjudgedTest

# The end of a failure says what went wrong, its beginning which test it was.
_LONGEST_DETAILS = 4000
_SKIPPED = "Skipped: "


def unjudged(
    report: pytest.TestReport, entries: Sequence[LedgerEntry], *, belongs_to_diffopt: bool
) -> UnjudgedTest | None:
    """Return what a report says of a test that no verdict of it explains; None where one does, or all went well.

    Args:
        report: of one phase of a test; a test whose xdist worker died has one too.
        entries: the verdicts that it carries.
        belongs_to_diffopt: whether the test is this plugin's business; somebody else's skipped tests are not listed.
    """
    if report.failed and not any(entry.verdict.is_red for entry in entries):
        return _failed(report)
    is_explained = any(entry.verdict.outcome in UNPROVEN for entry in entries) or hasattr(report, "wasxfail")
    if report.skipped and belongs_to_diffopt and not is_explained:
        return UnjudgedTest(nodeid=report.nodeid, ending=Ending.SKIPPED, reason=_why_skipped(report))
    return None


def uncollected(report: pytest.CollectReport) -> UnjudgedTest:
    """Return what a failed report says of a file whose tests could not be collected."""
    return _failed(report)


def _failed(report: pytest.TestReport | pytest.CollectReport) -> UnjudgedTest:
    text = report.longreprtext
    details = text if len(text) <= _LONGEST_DETAILS else "... " + text[-_LONGEST_DETAILS:]
    return UnjudgedTest(nodeid=report.nodeid, ending=Ending.FAILED, reason=_first_line(report), details=details)


def _first_line(report: pytest.TestReport | pytest.CollectReport) -> str:
    """Return the first line of the error itself, where pytest tells it apart from its traceback."""
    crash = getattr(report.longrepr, "reprcrash", None)
    lines = (crash.message if crash is not None else report.longreprtext).splitlines()
    return next((line.strip() for line in lines if line.strip()), "failed without a message")


def _why_skipped(report: pytest.TestReport) -> str:
    """Return the reason, of which pytest keeps the file and the line too."""
    told = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longreprtext
    return told.removeprefix(_SKIPPED)
