"""Simulate the stored gate and `assert_faster`, which state no error rate for the difference between processes."""

import math
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from benchmarks.error_rates.rates import Rate
from pytest_diffopt.guards.comparison import Comparison
from pytest_diffopt.guards.faster import CONFIDENCE, judge_ratio
from pytest_diffopt.guards.verdict import Outcome
from pytest_diffopt.records import Device, RatioRecord, Subject
from pytest_diffopt.statistics.intervals import median

Array = npt.NDArray[np.float64]

#: The default margin of the stored gate.
STORED_MARGIN = 0.05
STORED_SLOWDOWNS = (0.0, 0.05, 0.075, 0.1)
#: How often `assert_faster` may be wrong at the required factor, on each side of its interval.
FASTER_CLAIM = (1 - CONFIDENCE) / 2
_CALL_NS = 1e9


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredCell:
    """A stored baseline and the session that is compared with it.

    Attributes:
        spread: standard deviation of the medians of two sessions of the same code, as a fraction of one.
        sessions: number of sessions of the baseline.
    """

    spread: float
    sessions: int


@dataclass(frozen=True, kw_only=True, slots=True)
class FasterCell:
    """One call of `assert_faster` whose true speed-up is exactly the required one.

    Attributes:
        noise: standard deviation of the ratio of a pair of times, as a fraction.
        correlation: correlation of neighbouring pairs.
        pairs: number of pairs.
        spread: standard deviation of what a new start of the process adds to the ratio, as a fraction.
    """

    noise: float = 0.02
    correlation: float = 0.0
    pairs: int = 60
    spread: float = 0.0


STORED_CELLS = tuple(
    StoredCell(spread=spread, sessions=sessions)
    for spread in (0.005, 0.01, 0.015, 0.02, 0.03, 0.05)
    for sessions in (1, 3, 5)
)
FASTER_CELLS = (
    FasterCell(),
    FasterCell(pairs=10),
    *(FasterCell(correlation=one, pairs=pairs) for one in (0.3, 0.6, 0.9) for pairs in (40, 200)),
    FasterCell(spread=0.004),
    FasterCell(spread=0.01),
)


def stored_rates(cell: StoredCell, *, trials: int, seed: int = 0) -> tuple[Rate, ...]:
    """Return how often the stored gate fails, for each slowdown of `STORED_SLOWDOWNS`, without a floor."""
    generator = np.random.default_rng(seed)
    medians = np.exp(generator.normal(0, cell.spread, (trials, cell.sessions + 1)))
    accepted = [median(list(one)) for one in medians[:, 1:]]
    return tuple(
        Rate(
            count=sum(
                Comparison.within(now * (1 + slowdown), one, margin=STORED_MARGIN, floor=0).outcome is Outcome.REGRESSED
                for now, one in zip(medians[:, 0], accepted, strict=True)
            ),
            trials=trials,
        )
        for slowdown in STORED_SLOWDOWNS
    )


def faster_rate(cell: FasterCell, *, trials: int, seed: int = 0) -> Rate:
    """Return how often `assert_faster` passes although the true speed-up is only the required one."""
    generator = np.random.default_rng(seed)
    subject = Subject(pipeline="simulated", device=Device.CPU)
    passed = 0
    for _ in range(trials):
        logs = _series(cell, generator) + generator.normal(0, cell.spread)
        record = RatioRecord(
            subject=subject,
            reference=replace(subject, recipe="reference"),
            subject_ns=tuple(round(_CALL_NS) for _ in logs),
            reference_ns=tuple(round(_CALL_NS * math.exp(one)) for one in logs),
        )
        passed += judge_ratio(record, required=1.0).outcome is Outcome.PASSED
    return Rate(count=passed, trials=trials)


def _series(cell: FasterCell, generator: np.random.Generator) -> Array:
    values = generator.normal(0, cell.noise, cell.pairs)
    fresh = math.sqrt(1 - cell.correlation**2)
    for at in range(1, cell.pairs):
        values[at] = cell.correlation * values[at - 1] + fresh * values[at]
    return values
