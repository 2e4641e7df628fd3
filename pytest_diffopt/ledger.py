"""Every verdict of this test session; reports are made from it and from nothing else."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
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
    """

    nodeid: str
    verdict: Verdict
    record: dict[str, Any]


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


class Ending(StrEnum):
    """How a test ended without a verdict that says so."""

    SKIPPED = "skipped"
    FAILED = "failed"


@dataclass(frozen=True, kw_only=True, slots=True)
class UnjudgedTest:
    """A test that was skipped, or failed for another reason than a verdict: nothing was proven by it.

    Attributes:
        nodeid: the test.
        ending: how it ended.
        reason: why, in one line.
        details: what pytest printed of it; empty for a skipped one.
    """

    nodeid: str
    ending: Ending
    reason: str
    details: str = ""


@dataclass(kw_only=True)
class Ledger:
    """The verdicts of a session, in the order in which tests reported them, and the tests that ended without one."""

    entries: list[LedgerEntry] = field(default_factory=list)
    unjudged: list[UnjudgedTest] = field(default_factory=list)

    def counts(self) -> Counter[Outcome]:
        """Return how many verdicts there are of each outcome."""
        return Counter(entry.verdict.outcome for entry in self.entries)
