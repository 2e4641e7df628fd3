"""Dependent values count for less than independent ones."""

import math
import random
from collections.abc import Iterator

import pytest

from pytest_diffopt.statistics.dependence import effective_count
from pytest_diffopt.statistics.intervals import half_width, ratio_interval


def correlated(count: int, correlation: float, seed: int) -> list[float]:
    """Return normal values with this correlation from one to the next, mean 0 and standard deviation 1."""
    source = random.Random(seed)  # noqa: S311 - a simulation
    values = [source.gauss(0, 1)]
    while len(values) < count:
        values.append(correlation * values[-1] + math.sqrt(1 - correlation**2) * source.gauss(0, 1))
    return values


def misses(count: int, correlation: float, *, is_naive: bool = False) -> float:
    """Return the fraction of 99 % intervals, of simulated pairs with the true ratio 1, that do not contain it."""
    runs = [correlated(count, correlation, seed) for seed in range(400)]
    return sum(_is_outside(logs, is_naive=is_naive) for logs in runs) / len(runs)


def _is_outside(logs: list[float], *, is_naive: bool) -> bool:
    scaled = [one / 100 for one in logs]
    interval = ratio_interval([math.exp(one) for one in scaled], [1.0] * len(scaled))
    if not is_naive:
        return not interval.low <= 1 <= interval.high
    middle = math.log(interval.ratio)
    deviation = math.sqrt(sum((one - middle) ** 2 for one in scaled) / (len(scaled) - 1))
    return abs(middle) > half_width(deviation, pairs=len(scaled), confidence=0.99)


@pytest.mark.parametrize(("correlation", "at_most", "naive_at_least"), [(0.3, 0.03, 0.03), (0.6, 0.07, 0.15)])
def test_intervals_of_dependent_pairs_miss_rarely(correlation: float, at_most: float, naive_at_least: float) -> None:
    """As if they were independent, several times as many miss."""
    assert misses(40, correlation) <= at_most
    assert misses(40, correlation, is_naive=True) >= naive_at_least


def test_intervals_of_independent_pairs_stay_narrow() -> None:
    """They miss as rarely as asked for, and most of the pairs count."""
    assert misses(40, 0.0) <= 0.01
    counts = sorted(effective_count(correlated(40, 0.0, seed)) for seed in range(200))
    assert counts[100] > 32


def test_the_effective_count_is_that_of_the_correlation() -> None:
    """Of n values with the correlation r from one to the next: n (1 - r) / (1 + r)."""
    counts = sorted(effective_count(correlated(2000, 0.5, seed)) for seed in range(21))

    assert counts[10] == pytest.approx(2000 / 3, rel=0.15)


def drifting(count: int) -> Iterator[float]:
    """Yield values that rise steadily by six standard deviations."""
    source = random.Random(0)  # noqa: S311 - a simulation
    for number in range(count):
        yield 6 * number / count + source.gauss(0, 1)


@pytest.mark.parametrize(
    ("values", "count"),
    [([1.0, 1.0, 1.0, 1.0], 4), ([math.log(1.1)] * 37, 37), ([1.0, -1.0] * 20, 40), ([0.0, 1.0], 2)],
)
def test_equal_and_alternating_values_count_each(values: list[float], count: float) -> None:
    """The count is never larger than the number of values."""
    assert effective_count(values) == count


def test_a_drift_of_the_ratio_leaves_few() -> None:
    """The mean of a drifting ratio is no estimate of anything: the interval is wide."""
    assert effective_count(list(drifting(40))) < 10
