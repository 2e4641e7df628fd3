"""Every verdict of this test session; reports are made from it and from nothing else."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from pytest_diffopt.guards.verdict import Outcome, Verdict
from pytest_diffopt.records import Record


@dataclass(frozen=True, kw_only=True, slots=True)
class LedgerEntry:
    """A verdict, the test that asked for it, and what was seen.

    Attributes:
        nodeid: the test.
        verdict: what the guard said.
        record: what the probe saw, as plain dictionaries, lists, texts and numbers.
        shard: which of several merged sessions it is from; empty in a session's own ledger.
    """

    nodeid: str
    verdict: Verdict
    record: dict[str, Any]
    shard: str = ""


def entry_of(nodeid: str, verdict: Verdict, record: Record) -> LedgerEntry:
    """Write a verdict down."""
    import msgspec  # noqa: PLC0415 - pytest starts faster without it

    return LedgerEntry(nodeid=nodeid, verdict=verdict, record=msgspec.to_builtins(record))


def to_plain(entries: Sequence[LedgerEntry]) -> list[dict[str, Any]]:
    """Turn entries into what a test report can carry from an xdist worker to its controller."""
    import msgspec  # noqa: PLC0415 - pytest starts faster without it

    return [msgspec.to_builtins(entry) for entry in entries]


def from_plain(entries: Sequence[dict[str, Any]]) -> list[LedgerEntry]:
    """Read what `to_plain` wrote."""
    import msgspec  # noqa: PLC0415 - pytest starts faster without it

    return msgspec.convert(list(entries), list[LedgerEntry])


@dataclass(frozen=True, kw_only=True, slots=True)
class CaseResult:
    """What became of one diffopt test, whether it gave verdicts or not.

    Attributes:
        nodeid: pytest's name of it.
        file: where it stands, from pytest's root folder.
        line: its first line, from 1; 0 when pytest does not know.
        skip_reason: why it proved nothing; empty when it ran to its end.
        shard: which of several merged sessions it is from; empty in a session's own ledger.
    """

    nodeid: str
    file: str
    line: int
    skip_reason: str = ""
    shard: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class BrokenTest:
    """A test that failed for another reason than a verdict, or a file whose tests could not be collected.

    Attributes:
        nodeid: pytest's name of it.
        reason: what went wrong, in one line.
        details: what pytest printed of it.
        shard: which of several merged sessions it is from; empty in a session's own ledger.
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
        cases: what became of each test of this plugin, by its name.
        broken: the tests that failed without a verdict that says why.
        lost_workers: the xdist workers that ended before their work did, each with why.
    """

    entries: list[LedgerEntry] = field(default_factory=list)
    cases: dict[str, CaseResult] = field(default_factory=dict)
    broken: list[BrokenTest] = field(default_factory=list)
    lost_workers: list[str] = field(default_factory=list)

    def counts(self) -> Counter[Outcome]:
        """Return how many verdicts there are of each outcome."""
        return Counter(entry.verdict.outcome for entry in self.entries)

    def skipped(self) -> list[CaseResult]:
        """Return the tests that proved nothing."""
        return [case for case in self.cases.values() if case.skip_reason]
