"""Observed error rates of a cell, with their limits, against the claims."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from benchmarks.error_rates.cells import Cell
from pytest_diffopt.guards.paired_latency import FALSE_ALARMS
from pytest_diffopt.statistics.sequential import MISS_PROBABILITY, Decision
from pytest_diffopt.statistics.spread import lower_limit, upper_limit

#: The upper limit of an observed rate may be this many times the claim, for the uncertainty of the simulation.
ALLOWED_FACTOR = 1.5
#: How long each pair of processes times a test with the default budget.
PAIR_SECONDS = 2.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Rate:
    """How often something happened, with 95 % limits (each side 97.5 %, Clopper and Pearson)."""

    count: int
    trials: int

    @property
    def observed(self) -> float:
        """The observed fraction."""
        return self.count / self.trials

    @property
    def low(self) -> float:
        """The lower limit."""
        return lower_limit(self.count, self.trials, confidence=0.975)

    @property
    def high(self) -> float:
        """The upper limit."""
        return upper_limit(self.count, self.trials, confidence=0.975)

    def keeps(self, claim: float) -> bool:
        """Return whether the observed rate is at most the claim, and its upper limit at most 1.5 times the claim."""
        return self.observed <= claim and self.high <= ALLOWED_FACTOR * claim


class CellResult(msgspec.Struct, frozen=True, kw_only=True):
    """The ends of a cell's sessions, by true slowdown; see `sessions_judged`.

    Attributes:
        cell: name of the cell.
        seen: counters.
    """

    cell: str
    seen: dict[str, dict[str, int]]

    @property
    def false_alarms(self) -> Rate:
        """Sessions at the null boundary in which any test was called slower."""
        seen = self.seen["half of the margin"]
        return Rate(count=seen["alarms"], trials=seen["sessions"])

    @property
    def misses(self) -> Rate:
        """Tests at one and a half of the margin that passed."""
        return self._tests("one and a half of the margin", Decision.NOT_SLOWER, Decision.FASTER)

    @property
    def passed(self) -> Rate:
        """Tests of the same code that passed."""
        return self._tests("same code", Decision.NOT_SLOWER, Decision.FASTER)

    def found(self, slowdown: str) -> Rate:
        """Return how many tests that are slower by so much were called slower."""
        return self._tests(slowdown, Decision.SLOWER)

    def median_seconds(self, slowdown: str) -> float:
        """Return the median time that a test was timed."""
        seen = self.seen[slowdown]
        left = seen["tests"] / 2
        for pairs in sorted(int(key.removeprefix("pairs ")) for key in seen if key.startswith("pairs ")):
            left -= seen[f"pairs {pairs}"]
            if left <= 0:
                return PAIR_SECONDS * pairs
        return PAIR_SECONDS * pairs

    @property
    def keeps_claims(self) -> bool:
        """Whether false alarms and misses are within their claims."""
        return self.false_alarms.keeps(FALSE_ALARMS) and self.misses.keeps(MISS_PROBABILITY)

    def _tests(self, slowdown: str, *decisions: Decision) -> Rate:
        seen = self.seen[slowdown]
        return Rate(count=sum(seen[one.name] for one in decisions), trials=seen["tests"])


def result_of(cell: Cell, seen: Mapping[str, Counter[str]]) -> CellResult:
    """Return the result of a cell from its counters."""
    return CellResult(cell=cell.name, seen={name: dict(counter) for name, counter in seen.items()})


def merged(one: CellResult, other: CellResult) -> CellResult:
    """Return the result of both runs of a cell, whose seeds differ."""
    seen: dict[str, Any] = {
        name: dict(Counter(counts) + Counter(other.seen[name])) for name, counts in one.seen.items()
    }
    keys = {name: {**dict.fromkeys(counts, 0), **seen[name]} for name, counts in one.seen.items()}
    return CellResult(cell=one.cell, seen=keys)
