"""The statistics of verdicts agree with their published sources."""

import math
import random

import pytest

from pytest_diffopt.statistics.intervals import (
    half_width,
    median,
    pairs_needed,
    ratio_interval,
    relative_spread,
)


def noisy_pairs(speed_up: float, *, pairs: int, seed: int, noise: float = 0.02) -> tuple[list[float], list[float]]:
    """Draw samples of a reference and of a subject that is `speed_up` times as fast; both drift equally."""
    dice = random.Random(seed)  # noqa: S311 - no secret
    drift = [math.exp(0.1 * index / pairs) for index in range(pairs)]
    reference = [1e9 * factor * math.exp(dice.gauss(0, noise)) for factor in drift]
    subject = [1e9 / speed_up * factor * math.exp(dice.gauss(0, noise)) for factor in drift]
    return reference, subject


def test_one_slow_call_does_not_change_the_median() -> None:
    """The median of an even number of samples is the mean of the middle two."""
    assert median([1, 2, 900]) == 2.0
    assert median([1, 2]) == 1.5


def test_the_spread_is_a_robust_standard_deviation() -> None:
    """It equals that of a normal distribution, and one call that takes ten times as long hardly changes it."""
    dice = random.Random(0)  # noqa: S311 - no secret
    samples = [dice.gauss(1000, 10) for _ in range(2001)]

    assert relative_spread(samples) == pytest.approx(0.01, rel=0.05)
    assert relative_spread([*samples, 10_000]) == pytest.approx(0.01, rel=0.05)
    assert relative_spread([5, 5, 5]) == 0


def test_the_interval_is_students() -> None:
    """The quantile agrees with published tables: t(0.995, 9) = 3.2498."""
    assert half_width(1.0, pairs=10, confidence=0.99) == pytest.approx(3.2498 / math.sqrt(10), rel=1e-4)


def test_the_ratio_is_that_of_the_geometric_means() -> None:
    """Doubling and halving cancel, which an arithmetic mean of ratios would call 25 % slower."""
    interval = ratio_interval([2.0, 1.0], [1.0, 2.0])

    assert interval.ratio == pytest.approx(1.0)
    assert interval.pairs == 2


def test_equal_pairs_have_an_interval_of_width_zero() -> None:
    """Without spread the interval is the ratio."""
    interval = ratio_interval([3.0] * 4, [2.0] * 4)

    assert (interval.low, interval.high) == pytest.approx((1.5, 1.5))


def test_the_interval_contains_the_true_ratio_with_its_confidence() -> None:
    """Of 400 measurements with a drift of 10 %, about 1 % miss the true speed-up."""
    intervals = [ratio_interval(*noisy_pairs(1.2, pairs=20, seed=seed)) for seed in range(400)]
    missed = sum(not interval.low <= 1.2 <= interval.high for interval in intervals)

    assert 0 <= missed <= 12


@pytest.mark.parametrize(("one", "other"), [([1.0], [1.0]), ([1.0, 2.0], [1.0]), ([], [])])
def test_incomplete_pairs_are_refused(one: list[float], other: list[float]) -> None:
    """One pair has no spread."""
    with pytest.raises(ValueError, match=f"two complete pairs are needed, got: {len(one)} and {len(other)} samples"):
        ratio_interval(one, other)


def test_the_estimated_number_of_pairs_suffices() -> None:
    """With that many pairs the interval excludes the required ratio."""
    few = ratio_interval(*noisy_pairs(1.02, pairs=8, seed=1))
    needed = pairs_needed(few, required=1.0)
    many = ratio_interval(*noisy_pairs(1.02, pairs=2 * needed, seed=2))

    assert few.low < 1.0 < few.high
    assert needed > few.pairs
    assert many.low > 1.0


def test_the_estimated_number_of_pairs_is_bounded() -> None:
    """A ratio that is already excluded needs no further pairs, and one that is met exactly is never decided."""
    clear = ratio_interval([2.0, 2.1, 2.0], [1.0, 1.0, 1.0])
    even = ratio_interval([2.0, 1.0], [1.0, 2.0])

    assert pairs_needed(clear, required=1.01) == 3
    assert pairs_needed(even, required=even.ratio) == 1_000_000
