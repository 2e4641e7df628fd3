"""The order of verdicts in reports: the most important first."""

from collections.abc import Iterable

from pytest_diffopt.guards.verdict import Outcome
from pytest_diffopt.records import Concern
from pytest_diffopt.session.ledger import LedgerEntry

#: Failures first, then verdicts that proved nothing, then improvements.
WORST_FIRST = (
    Outcome.REGRESSED,
    Outcome.MISSING,
    Outcome.UNWATCHED,
    Outcome.INCONCLUSIVE,
    Outcome.INCOMPARABLE,
    Outcome.IMPROVED,
    Outcome.PASSED,
)
#: Correctness comes before speed, and a cause before its effects.
BY_CONCERN = (
    Concern.IMAGES,
    Concern.NUMERICS,
    Concern.REPEATABILITY,
    Concern.APPLIED,
    Concern.EFFECT,
    Concern.SYNCS,
    Concern.GRAPH_BREAKS,
    Concern.RECOMPILES,
    Concern.LATENCY,
    Concern.MEMORY,
    Concern.COUNTS,
    Concern.KERNELS,
    Concern.COMPILATION,
    Concern.OWN,
)


def worst_first(entries: Iterable[LedgerEntry]) -> list[LedgerEntry]:
    """Sort verdicts by failure, outcome and concern; ties keep the order of the tests."""
    return sorted(entries, key=_rank)


def anchored(entries: Iterable[LedgerEntry]) -> list[tuple[str, LedgerEntry]]:
    """Return verdicts in the order of `worst_first`, each with its anchor on the page."""
    return [(f"case-{number}", entry) for number, entry in enumerate(worst_first(entries), start=1)]


def _rank(entry: LedgerEntry) -> tuple[bool, int, int]:
    verdict = entry.verdict
    return not verdict.is_failure, WORST_FIRST.index(verdict.outcome), BY_CONCERN.index(verdict.concern)
