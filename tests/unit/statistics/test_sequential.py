"""A sequential rule decides with few pairs of processes, and keeps its error rates."""

import math

import numpy as np
import numpy.typing as npt
import pytest
from scipy import stats

from pytest_diffopt.statistics.sequential import LOOKS, MISS_PROBABILITY, Decision, SequentialRule

Array = npt.NDArray[np.float64]
RULE = SequentialRule(margin=0.01, false_alarms=0.001)
#: The spread between pairs of processes that was measured on a shared machine.
SPREAD = 0.005


def sessions(slowdown: float, *, spread: float = SPREAD, number: int = 2000, pairs: int = LOOKS[-1]) -> Array:
    """Return log-ratios of pairs of processes of sessions in which head is slower by `slowdown`."""
    return np.random.default_rng(1).normal(math.log1p(slowdown), spread, (number, pairs))


def test_equal_code_passes_after_few_pairs() -> None:
    """In every session, and in most of them at the first look."""
    ended = RULE.run(sessions(0.0))

    assert ended.fraction(Decision.NOT_SLOWER) == 1
    assert np.median(ended.pairs) == LOOKS[0]


def test_a_slowdown_of_twice_the_margin_is_found() -> None:
    """In every session, mostly at the first look that can find one."""
    ended = RULE.run(sessions(0.02))

    assert ended.fraction(Decision.SLOWER) > 0.999
    assert np.median(ended.pairs) == LOOKS[1]


def test_the_same_gain_is_found_or_passes() -> None:
    """Faster code is not slower; whether the gain is reported depends on the look that decides."""
    ended = RULE.run(sessions(-0.02))

    assert ended.fraction(Decision.FASTER, Decision.NOT_SLOWER) == 1


@pytest.mark.parametrize("spread", [SPREAD, 0.02])
def test_half_of_the_margin_is_rarely_called_slower(spread: float) -> None:
    """At this boundary false alarms are bounded by 0.1 %, also if processes differ by twice the margin."""
    slower = int((RULE.run(sessions(0.005, spread=spread, number=20_000)).decisions == Decision.SLOWER).sum())

    assert stats.binom.sf(slower - 1, 20_000, RULE.false_alarms) > 0.001


def test_one_and_a_half_of_the_margin_rarely_passes() -> None:
    """At this boundary misses are bounded by 1 %."""
    passed = int((RULE.run(sessions(0.015, spread=0.02, number=20_000)).decisions == Decision.NOT_SLOWER).sum())

    assert stats.binom.sf(passed - 1, 20_000, MISS_PROBABILITY) > 0.001


def test_the_levels_of_the_looks_add_up_to_the_claims() -> None:
    """The union bound: no look is free. A quarter is left for distributions with short tails."""
    assert sum(map(RULE._change_level, LOOKS)) == pytest.approx(0.75 * RULE.false_alarms)
    assert sum(map(RULE._miss_level, LOOKS)) == pytest.approx(0.75 * MISS_PROBABILITY)
    assert RULE._change_level(LOOKS[0]) == 0


def test_a_decision_is_made_at_looks_only() -> None:
    """A session that ends between two looks stays open, whatever it has seen."""
    slower = np.full((1, 30), math.log(2.0)) + np.linspace(0, 0.001, 30)
    decided = [pairs for pairs in range(1, 31) if RULE.decide(slower[:, :pairs])[0] != Decision.OPEN]

    assert decided == [9, 14, 20, 30]
    assert RULE.decide_one(slower[0, :9].tolist()) is Decision.SLOWER


def test_processes_of_two_kinds_need_more_pairs_for_smaller_levels() -> None:
    """Nine pairs that happen to be alike have no spread; for one of 100 tests that is no longer improbable enough."""
    alike = np.full((1, 14), 0.02)

    assert RULE.decide(alike[:, :9])[0] == Decision.SLOWER
    of_many_tests = SequentialRule(margin=0.01, false_alarms=RULE.false_alarms / 100)
    assert of_many_tests.decide(alike[:, :9])[0] == Decision.OPEN
    assert of_many_tests.decide(alike)[0] == Decision.SLOWER


def test_one_outlier_among_the_processes_decides_nothing() -> None:
    """Its autotuning may have failed: it adds to the spread, so the session goes on."""
    ratios = sessions(0.0, number=1)
    ratios[:, 0] += 0.5

    assert RULE.decide(ratios[:, :9])[0] == Decision.OPEN
    assert RULE.decide(ratios)[0] == Decision.OPEN


def test_the_bound_is_students_interval_at_the_level_of_the_look() -> None:
    """Below the margin that of misses, above it that of false alarms; between looks that of the next one."""
    values = [0.001, 0.002, 0.004, 0.001, 0.002]
    bound = RULE.bound(values)
    slower = RULE.bound([value + 0.02 for value in values[:4]])
    level = 0.75 * MISS_PROBABILITY * math.sqrt(5 / 30)

    assert bound.confidence == pytest.approx(1 - 2 * level)
    assert bound.half_width == pytest.approx(stats.t.isf(level, 4) * np.std(values, ddof=1) / math.sqrt(5))
    assert (bound.low, bound.high) == (bound.log_ratio - bound.half_width, bound.log_ratio + bound.half_width)
    assert slower.confidence == pytest.approx(1 - 2 * RULE._change_level(LOOKS[-1]))


def test_one_pair_of_processes_bounds_nothing() -> None:
    """Its ratio is known, its spread is not."""
    bound = RULE.bound([0.25])

    assert (bound.log_ratio, bound.half_width, bound.deviation, bound.pairs) == (0.25, math.inf, math.inf, 1)


def test_the_number_of_pairs_that_decides_is_estimated() -> None:
    """For a slowdown at least nine; None if the last look does not decide either."""
    slower = RULE.bound([0.029, 0.030, 0.031])
    noisy = RULE.bound([0.0, 0.1, -0.1])

    assert RULE.pairs_to_decide(slower) == 9
    assert RULE.pairs_to_decide(noisy) is None
    assert RULE.deviation_to_decide(noisy.log_ratio) < noisy.deviation
    wide = RULE.deviation_to_decide(0.0)
    assert RULE.decide(np.tile([wide, -wide], 15)[None] * 0.98)[0] == Decision.NOT_SLOWER
    assert RULE.decide(np.tile([wide, -wide], 15)[None] * 1.02)[0] == Decision.OPEN
