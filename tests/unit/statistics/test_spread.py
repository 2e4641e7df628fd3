"""The spread between pairs of processes is reported with its uncertainty, and what it means for the gate."""

import math

import numpy as np
import pytest
from scipy import stats

from pytest_diffopt.statistics.sequential import Decision, SequentialRule
from pytest_diffopt.statistics.spread import (
    SimulatedSessions,
    exceeded_by_chance,
    lower_limit,
    smallest_step,
    spread_of,
    upper_limit,
)

RULE = SequentialRule(margin=0.01, false_alarms=0.001)


def test_the_limits_of_a_spread_contain_the_true_one() -> None:
    """Each limit in 95 % of measurements; with ten pairs the upper one is two thirds above the estimate."""
    measured = [spread_of(one) for one in np.random.default_rng(0).normal(0, 0.004, (2000, 10)).tolist()]

    assert np.mean([one.high > 0.004 for one in measured]) == pytest.approx(0.95, abs=0.02)
    assert np.mean([one.low < 0.004 for one in measured]) == pytest.approx(0.95, abs=0.02)
    assert measured[0].high / measured[0].deviation == pytest.approx(math.sqrt(9 / stats.chi2.ppf(0.05, 9)))


@pytest.mark.parametrize(("count", "trials"), [(0, 100), (3, 100), (99, 100), (100, 100)])
def test_the_limits_of_a_fraction_are_exact(count: int, trials: int) -> None:
    """Clopper and Pearson's, as scipy has them for both sides together."""
    exact = stats.binomtest(count, trials).proportion_ci(0.9, method="exact")

    assert (lower_limit(count, trials), upper_limit(count, trials)) == pytest.approx((exact.low, exact.high))


@pytest.mark.parametrize("sessions", [2, 3, 5])
def test_the_predicted_chance_covers_the_real_one(sessions: int) -> None:
    """On average over baselines whose sessions differ by 2 %; equal sessions never exceed a margin by chance."""
    medians = np.exp(np.random.default_rng(0).normal(0, 0.02, (20_000, sessions + 1)))
    exceeded = medians[:, 0] > 1.05 * np.median(medians[:, 1:], axis=1)
    predicted = [exceeded_by_chance(one, margin=0.05) for one in medians[:4000, 1:].tolist()]

    assert exceeded.mean() < np.mean(predicted)
    assert exceeded_by_chance([2.0, 2.0], margin=0.05) == 0


def test_the_worse_of_two_distributions_counts() -> None:
    """Heavy tails find fewer slowdowns, and the same code passes with either."""
    sessions = SimulatedSessions.drawn(pairs=30, sessions=1000)
    normal, heavy = (one.fraction(Decision.SLOWER) for one in sessions.ends(RULE, deviation=0.014, slowdown=0.02))

    assert sessions.least(RULE, Decision.SLOWER, deviation=0.014, slowdown=0.02) == min(normal, heavy)
    assert sessions.least(RULE, Decision.NOT_SLOWER, deviation=0.004) > 0.99


def test_the_smallest_step_is_found() -> None:
    """In multiples of the step, from the least value on; none if the largest is not enough."""
    assert smallest_step(lambda value: value > 0.031, least=0.01, step=0.0025, largest=0.5) == pytest.approx(0.0325)
    assert smallest_step(lambda _value: True, least=0.011, step=0.0025, largest=0.5) == pytest.approx(0.0125)
    assert smallest_step(lambda _value: False, least=0.01, step=0.0025, largest=0.5) is None
