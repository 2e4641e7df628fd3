"""Ledger entries as plain values, which a test report carries from an xdist worker to its controller."""

from collections.abc import Sequence
from typing import Any

import msgspec

from pytest_diffopt.guards.verdict import Verdict
from pytest_diffopt.records import Record
from pytest_diffopt.session.ledger import LedgerEntry


def entry_of(nodeid: str, verdict: Verdict, record: Record) -> LedgerEntry:
    """Return the entry of a verdict; its record becomes plain values."""
    return LedgerEntry(nodeid=nodeid, verdict=verdict, record=msgspec.to_builtins(record))


def to_plain(entries: Sequence[LedgerEntry]) -> list[dict[str, Any]]:
    """Convert entries to plain values."""
    return [msgspec.to_builtins(entry) for entry in entries]


def from_plain(entries: Sequence[dict[str, Any]]) -> list[LedgerEntry]:
    """Convert the values of `to_plain` back to entries."""
    return msgspec.convert(list(entries), list[LedgerEntry])
