"""Calibrations of the paired gate: the slowdowns that it detects on this machine."""

from collections.abc import Iterable, Iterator

from pytest_diffopt.session.ledger import LedgerEntry

_FIGURE = "false_alarm_rate_limit"


def calibrations(entries: Iterable[LedgerEntry]) -> list[LedgerEntry]:
    """Return the entries that are calibrations."""
    return [entry for entry in entries if _FIGURE in entry.verdict.figures]


def calibration_lines(entries: Iterable[LedgerEntry]) -> Iterator[str]:
    """Yield one line for each calibrated case."""
    for entry in calibrations(entries):
        yield f"{entry.nodeid}: {entry.verdict.summary}"
