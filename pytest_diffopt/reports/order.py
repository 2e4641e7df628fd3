"""Which verdict a person has to read first."""

from collections.abc import Iterable

from pytest_diffopt.guards.verdict import Outcome
from pytest_diffopt.ledger import LedgerEntry

#: Red first, then what proved nothing, then gains.
WORST_FIRST = (
    Outcome.REGRESSED,
    Outcome.MISSING,
    Outcome.INCONCLUSIVE,
    Outcome.INCOMPARABLE,
    Outcome.IMPROVED,
    Outcome.PASSED,
)


def worst_first(entries: Iterable[LedgerEntry]) -> list[LedgerEntry]:
    """Sort verdicts, the worst first; of equal ones the order of the tests stays."""
    return sorted(entries, key=rank)


def rank(entry: LedgerEntry) -> tuple[bool, int]:
    """Return what verdicts are sorted by."""
    return not entry.verdict.is_red, WORST_FIRST.index(entry.verdict.outcome)
