"""Every verdict of this test session; reports are made from it alone."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import pytest

from pytest_diffopt.guards.verdict import Outcome, Verdict

#: The attribute of a test report that carries verdicts; xdist sends a report's attributes to the controller.
CARRIED = "diffopt_entries"
#: The attribute that carries the result of a diffopt test.
CARRIED_CASE = "diffopt_case"
#: The attribute that carries the number of failed verdicts that the test expected.
CARRIED_EXPECTED = "diffopt_expected"
#: The attribute of a failed report whose failure is a verdict in the ledger.
CARRIED_EXPLANATION = "diffopt_explained"


@dataclass(frozen=True, kw_only=True, slots=True)
class LedgerEntry:
    """A verdict with its test and its record.

    Attributes:
        nodeid: the test.
        verdict: the guard's verdict.
        record: the probe's record, as plain dictionaries, lists, strings and numbers.
        shard: the session it comes from in a merged report; empty in a session's own ledger.
    """

    nodeid: str
    verdict: Verdict
    record: dict[str, Any]
    shard: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class CaseResult:
    """The result of one diffopt test, with or without verdicts.

    Attributes:
        nodeid: pytest's node id.
        file: the test file, relative to pytest's root folder.
        line: the first line of the test, from 1; 0 if pytest does not know it.
        skip_reason: why the test proved nothing; empty when it ran to its end.
        shard: the session it comes from in a merged report; empty in a session's own ledger.
    """

    nodeid: str
    file: str
    line: int
    skip_reason: str = ""
    shard: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class BrokenTest:
    """A test that failed without a verdict, or a file whose tests could not be collected.

    Attributes:
        nodeid: pytest's node id.
        reason: the error, in one line.
        details: pytest's text of the failure.
        shard: the session it comes from in a merged report; empty in a session's own ledger.
    """

    nodeid: str
    reason: str
    details: str = ""
    shard: str = ""


@dataclass(kw_only=True)
class Ledger:
    """The verdicts of a session, in the order in which tests reported them.

    Attributes:
        entries: the verdicts.
        cases: the result of each diffopt test, by node id.
        broken: tests that failed without a verdict that explains it.
        lost_workers: xdist workers that ended before their tests did, each with the reason.
        expected: the number of failed verdicts that each test expected, by node id; they are not among the verdicts.
    """

    entries: list[LedgerEntry] = field(default_factory=list)
    cases: dict[str, CaseResult] = field(default_factory=dict)
    broken: list[BrokenTest] = field(default_factory=list)
    lost_workers: list[str] = field(default_factory=list)
    expected: Counter[str] = field(default_factory=Counter)

    def forget(self, nodeid: str) -> None:
        """Remove what a test reported: another attempt to run it follows."""
        self.entries[:] = [entry for entry in self.entries if entry.nodeid != nodeid]
        self.broken[:] = [test for test in self.broken if test.nodeid != nodeid]
        self.cases.pop(nodeid, None)
        self.expected.pop(nodeid, None)

    def counts(self) -> Counter[Outcome]:
        """Return the number of verdicts of each outcome."""
        return Counter(entry.verdict.outcome for entry in self.entries)

    def skipped(self) -> list[CaseResult]:
        """Return the tests that proved nothing."""
        return [case for case in self.cases.values() if case.skip_reason]


_LEDGER = pytest.StashKey[Ledger]()


def ledger_of(config: pytest.Config) -> Ledger:
    """Return the verdicts of this session."""
    return config.stash.setdefault(_LEDGER, Ledger())
