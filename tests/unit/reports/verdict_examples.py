"""Verdicts that the tests of reports share."""

from collections.abc import Mapping
from typing import Any

from pytest_diffopt.guards.verdict import Outcome, Verdict
from pytest_diffopt.records import Concern, Device, Subject
from pytest_diffopt.session.ledger import CaseResult, Ledger, LedgerEntry


def entry(  # noqa: PLR0913 - the fields of a verdict
    outcome: Outcome = Outcome.PASSED,
    concern: Concern = Concern.LATENCY,
    *,
    nodeid: str = "test_it.py::test_it",
    pipeline: str = "sdxl",
    device: Device = Device.CPU,
    summary: str = "10.0 ms",
    explanation: tuple[str, ...] = (),
    figures: Mapping[str, float] | None = None,
    record: Mapping[str, Any] | None = None,
) -> LedgerEntry:
    """Return a ledger entry with this verdict."""
    verdict = Verdict(
        concern=concern,
        outcome=outcome,
        subject=Subject(pipeline=pipeline, recipe="bf16", device=device),
        summary=summary,
        explanation=explanation,
        figures=figures or {},
    )
    return LedgerEntry(nodeid=nodeid, verdict=verdict, record=dict(record or {}))


def ledger(*entries: LedgerEntry, skipped: Mapping[str, str] | None = None) -> Ledger:
    """Return a ledger with these verdicts and these skipped tests, each with its reason."""
    found = Ledger(entries=list(entries))
    for one in entries:
        found.cases[one.nodeid] = CaseResult(nodeid=one.nodeid, file="test_it.py", line=3)
    for nodeid, reason in (skipped or {}).items():
        found.cases[nodeid] = CaseResult(nodeid=nodeid, file="test_it.py", line=9, skip_reason=reason)
    return found
