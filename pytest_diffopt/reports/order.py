"""Which verdict a person has to read first."""

from collections.abc import Iterable

from pytest_diffopt.guards.verdict import Outcome
from pytest_diffopt.records import Concern
from pytest_diffopt.session.ledger import LedgerEntry

#: Red first, then what proved nothing, then gains.
WORST_FIRST = (
    Outcome.REGRESSED,
    Outcome.MISSING,
    Outcome.INCONCLUSIVE,
    Outcome.INCOMPARABLE,
    Outcome.IMPROVED,
    Outcome.PASSED,
)
#: A wrong image is worse than a slow one, and a cause stands before what it causes.
BY_CONCERN = (
    Concern.IMAGES,
    Concern.NUMERICS,
    Concern.REPEATABILITY,
    Concern.APPLIED,
    Concern.SYNCS,
    Concern.GRAPH_BREAKS,
    Concern.RECOMPILES,
    Concern.LATENCY,
    Concern.MEMORY,
    Concern.COUNTS,
    Concern.COMPILATION,
)


def worst_first(entries: Iterable[LedgerEntry]) -> list[LedgerEntry]:
    """Sort verdicts, the worst first; of equally bad ones a wrong image before a slow one, then as the tests were."""
    return sorted(entries, key=_rank)


def anchored(entries: Iterable[LedgerEntry]) -> list[tuple[str, LedgerEntry]]:
    """Return each verdict, the worst first, with the anchor that the page has for it."""
    return [(f"case-{number}", entry) for number, entry in enumerate(worst_first(entries), start=1)]


def _rank(entry: LedgerEntry) -> tuple[bool, int, int]:
    verdict = entry.verdict
    return not verdict.is_failure, WORST_FIRST.index(verdict.outcome), BY_CONCERN.index(verdict.concern)
