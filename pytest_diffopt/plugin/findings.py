"""The verdicts and the result of a test, which its report carries to the ledger."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

import pytest

from pytest_diffopt.guards.failed_assertion import DiffoptAssertionError
from pytest_diffopt.guards.verdict import UNPROVEN, Verdict
from pytest_diffopt.plugin.markers import belongs_to_diffopt
from pytest_diffopt.session.active_test import active_test
from pytest_diffopt.session.ledger import (
    CARRIED,
    CARRIED_CASE,
    CARRIED_EXPECTED,
    CARRIED_EXPLANATION,
    CaseResult,
    LedgerEntry,
)

_PROPERTIES = pytest.StashKey[list[tuple[str, object]]]()


def forget_attempt(item: pytest.Item) -> None:
    """Remove what an earlier attempt to run the test left: a plugin runs it again."""
    active_test().begin_attempt()
    for found in item.stash.get(_PROPERTIES, []):
        item.user_properties.remove(found)
    item.stash[_PROPERTIES] = []


def attach_findings(report: pytest.TestReport, call: pytest.CallInfo[Any], item: pytest.Item) -> None:
    """Move the active test's verdicts into its report, which xdist sends to the controller.

    A failed verdict that did not fail the test was expected (`pytest.raises`, `xfail`): it is counted and not carried,
    so that every report agrees with pytest.
    """
    test = active_test()
    entries = test.take_entries()
    raised = [*test.raised, *_raised_verdicts(call)] if test.concluded else []
    test.raised.clear()
    carried = [entry for entry in entries if not _is_expected(entry.verdict, raised, report)]
    if carried:
        _carry(report, item, carried)
    if len(carried) < len(entries):
        vars(report)[CARRIED_EXPECTED] = len(entries) - len(carried)
    if report.failed and any(_is_among(verdict, test.concluded) for verdict in raised):
        vars(report)[CARRIED_EXPLANATION] = True
    if (entries or belongs_to_diffopt(item)) and _decides(report):
        vars(report)[CARRIED_CASE] = asdict(_result_of(item, report))


def _raised_verdicts(call: pytest.CallInfo[Any]) -> Iterator[Verdict]:
    """Yield the verdicts that ended this phase of the test."""
    if call.excinfo is not None:
        yield from _verdicts_of(call.excinfo.value, set())


def _verdicts_of(error: BaseException | None, seen: set[int]) -> Iterator[Verdict]:
    """Yield the verdicts of an error, of the errors that it was raised from, and of those in a group."""
    if error is None or id(error) in seen:
        return
    seen.add(id(error))
    if isinstance(error, DiffoptAssertionError):
        yield error.verdict
    for inner in (*getattr(error, "exceptions", ()), error.__cause__, error.__context__):
        if isinstance(inner, BaseException):
            yield from _verdicts_of(inner, seen)


def _is_expected(verdict: Verdict, raised: Sequence[Verdict], report: pytest.TestReport) -> bool:
    """Return whether the test went on, or was to fail, although this verdict failed."""
    if _is_expected_failure(report):
        return verdict.is_failure or verdict.outcome in UNPROVEN
    return verdict.is_failure and not _is_among(verdict, raised)


def _is_among(verdict: Verdict, verdicts: Sequence[Verdict]) -> bool:
    return any(verdict is one for one in verdicts)


def _is_expected_failure(report: pytest.TestReport) -> bool:
    return report.skipped and hasattr(report, "wasxfail")


def _carry(report: pytest.TestReport, item: pytest.Item, entries: Sequence[LedgerEntry]) -> None:
    """Add the verdicts, and their figures to the properties that pytest writes into JUnit XML."""
    from pytest_diffopt.reports.properties import properties_of  # noqa: PLC0415 - only with verdicts
    from pytest_diffopt.session.ledger_entries import to_plain  # noqa: PLC0415 - imports msgspec

    vars(report)[CARRIED] = to_plain(entries)
    found = properties_of(entries, item.user_properties)
    report.user_properties.extend(found)
    item.user_properties.extend(found)  # the reports of the later phases are made from these
    item.stash.setdefault(_PROPERTIES, []).extend(found)


def _decides(report: pytest.TestReport) -> bool:
    """Return whether this phase decides the result of the test: its call, or a setup that did not pass."""
    return report.when == "call" or (report.when == "setup" and not report.passed)


def _result_of(item: pytest.Item, report: pytest.TestReport) -> CaseResult:
    file, line, _name = item.location
    return CaseResult(
        nodeid=item.nodeid, file=file, line=0 if line is None else line + 1, skip_reason=_skip_reason(report)
    )


def _skip_reason(report: pytest.TestReport) -> str:
    """Return the first line of the reason for a skip or an expected failure; empty if it is neither."""
    if not report.skipped:
        return ""
    if _is_expected_failure(report):
        return f"expected to fail: {report.wasxfail or 'no reason given'}"
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    lines = reason.removeprefix("Skipped: ").splitlines()
    return lines[0].removeprefix("diffopt: ") if lines else "no reason given"
