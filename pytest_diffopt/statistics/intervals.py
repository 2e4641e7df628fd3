"""Medians, spreads and confidence intervals of samples: pure functions.

Sources:
    Location and spread: median and median absolute deviation; Rousseeuw and Croux, "Alternatives to the Median Absolute
    Deviation", JASA 88 (1993).
    Ratio of two times: the mean of paired log-ratios with Student's t interval, transformed to a ratio of geometric
    means; Fleming and Wallace, "How not to lie with statistics", CACM 29 (1986), for the geometric mean; Kalibera and
    Jones, "Rigorous Benchmarking in Reasonable Time", ISMM 2013, for intervals of ratios instead of points.
    Pairs adjacent in time cancel slow drift; Bulej et al., "Duet Benchmarking", ICPE 2020.
"""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from pytest_diffopt.statistics.dependence import effective_count

#: The ratio of the standard deviation to the median absolute deviation of a normal distribution.
NORMAL_CONSISTENCY = 1.4826


@dataclass(frozen=True, kw_only=True, slots=True)
class RatioInterval:
    """A ratio of paired samples with its confidence interval.

    Attributes:
        ratio: the geometric mean of the paired ratios.
        low: the lower end of the confidence interval.
        high: the upper end.
        confidence: the fraction of such intervals that contain the true ratio.
        pairs: the number of pairs.
        effective_pairs: the number of independent pairs that they are worth, at most `pairs`.
    """

    ratio: float
    low: float
    high: float
    confidence: float
    pairs: int
    effective_pairs: float


def median(samples: Sequence[float]) -> float:
    """Return the median of at least one sample, in the unit of the samples."""
    return float(statistics.median(samples))


def relative_spread(samples: Sequence[float]) -> float:
    """Return the robust standard deviation of positive samples as a fraction of their median.

    A single slow call hardly changes it, while it could double the standard deviation.
    """
    middle = median(samples)
    return NORMAL_CONSISTENCY * median([abs(sample - middle) for sample in samples]) / middle


def relative_deviation(values: Sequence[float]) -> float:
    """Return the standard deviation of the logarithms of at least two positive values, a fraction of the values."""
    return statistics.stdev(map(math.log, values))


def ratio_interval(
    numerators: Sequence[float], denominators: Sequence[float], *, confidence: float = 0.99
) -> RatioInterval:
    """Estimate the ratio of two positive quantities from samples taken in pairs.

    The interval is Student's t on the log-ratios, for the number of independent pairs that they are worth. Its
    confidence is valid only for a number of pairs that does not depend on their ratios: looking after every pair and
    stopping at a favorable result makes errors far more frequent.

    Args:
        numerators: one sample of each pair, in the order of measurement.
        denominators: the other sample of each pair, in the same order.
        confidence: the confidence level, as a fraction.

    Raises:
        ValueError: There are fewer than two pairs, or one is incomplete.
    """
    if len(numerators) != len(denominators) or len(numerators) < 2:  # noqa: PLR2004 - one pair has no spread
        message = f"at least two complete pairs are needed, got: {len(numerators)} and {len(denominators)} samples"
        raise ValueError(message)
    logs = [math.log(one / other) for one, other in zip(numerators, denominators, strict=True)]
    middle = statistics.fmean(logs)
    effective = effective_count(logs)
    half = half_width(statistics.stdev(logs), pairs=effective, confidence=confidence)
    return RatioInterval(
        ratio=math.exp(middle),
        low=math.exp(middle - half),
        high=math.exp(middle + half),
        confidence=confidence,
        pairs=len(logs),
        effective_pairs=effective,
    )


def half_width(deviation: float, *, pairs: float, confidence: float) -> float:
    """Return half the width of Student's t interval for a mean of `pairs` values with this standard deviation."""
    from scipy.special import stdtrit  # noqa: PLC0415 - scipy takes 0.1 s to import, and most sessions do not need it

    return float(stdtrit(pairs - 1, (1 + confidence) / 2)) * deviation / math.sqrt(pairs)


def pairs_needed(interval: RatioInterval, *, required: float) -> int:
    """Estimate the total number of pairs at which the interval excludes a required ratio; at most a million.

    The estimate plans the budget of a new measurement and assumes that its pairs are like those already measured.

    Args:
        interval: the interval of the pairs so far.
        required: the ratio that the interval must not contain.
    """
    distance = abs(math.log(interval.ratio / required))
    spread = math.log(interval.high / interval.low) / 2
    if spread < distance:
        return interval.pairs
    most = 1_000_000
    return most if distance == 0 else min(most, math.ceil(interval.pairs * (spread / distance) ** 2) + 1)
