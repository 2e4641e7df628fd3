"""The statistics behind a verdict: pure functions of samples.

Sources:
    Location and spread: median and median absolute deviation; Rousseeuw and Croux, "Alternatives to the Median Absolute
    Deviation", JASA 88 (1993).
    Ratio of two times: the mean of paired log-ratios with Student's t interval, turned back into a ratio of geometric
    means; Fleming and Wallace, "How not to lie with statistics", CACM 29 (1986), for the geometric mean; Kalibera and
    Jones, "Rigorous Benchmarking in Reasonable Time", ISMM 2013, for intervals of ratios instead of points.
    A bound that stays valid while values are added: Wang and Ramdas, "Anytime-valid t-tests and confidence sequences
    for Gaussian means with unknown variance", Sequential Analysis 2025 (arXiv:2310.03722), the normal mixture over the
    standardised effect with the right Haar measure over the spread. scipy has no confidence sequences; the package
    `confseq` has, none of them for a spread that is not known, and it must be compiled.
    Pairs beside each other in time cancel what drifts slowly; Bulej et al., "Duet Benchmarking", ICPE 2020.
"""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

#: The median absolute deviation of a normal distribution times this is its standard deviation.
NORMAL_CONSISTENCY = 1.4826
#: The variance of the mixture, in squared standard deviations: chosen once, and never by looking at values. A larger
#: one gives an interval after fewer values, a smaller one a narrower interval after many.
_MIXTURE_VARIANCE = 0.25


@dataclass(frozen=True, kw_only=True, slots=True)
class RatioInterval:
    """How many times larger one thing is than another, and how sure that is.

    Attributes:
        ratio: the geometric mean of the paired ratios.
        low: the lower end of the confidence interval.
        high: the upper end.
        confidence: the share of such intervals that hold the true ratio, when the pairs are independent.
        pairs: how many pairs it rests on.
    """

    ratio: float
    low: float
    high: float
    confidence: float
    pairs: int


def median(samples: Sequence[float]) -> float:
    """Return the middle of at least one sample, in its unit."""
    return float(statistics.median(samples))


def relative_spread(samples: Sequence[float]) -> float:
    """Return the robust standard deviation of positive samples as a fraction of their median.

    A single slow call (the machine did something else) moves it hardly, where it would double a standard deviation.
    """
    middle = median(samples)
    return NORMAL_CONSISTENCY * median([abs(sample - middle) for sample in samples]) / middle


def ratio_interval(
    numerators: Sequence[float], denominators: Sequence[float], *, confidence: float = 0.99
) -> RatioInterval:
    """Estimate how many times larger the numerators are, from positive samples taken in pairs.

    The interval is Student's t on the log-ratios. It is honest for a number of pairs that was fixed before looking:
    looking after every pair and stopping at the first pleasant answer makes it wrong far more often than it says.

    Args:
        numerators: one sample of each pair.
        denominators: the other sample of each pair, in the same order.
        confidence: how sure to be, as a fraction.

    Raises:
        ValueError: The pairs are incomplete or fewer than two: they carry no spread.
    """
    if len(numerators) != len(denominators) or len(numerators) < 2:  # noqa: PLR2004 - the least that has a spread
        message = f"at least two whole pairs are needed, got: {len(numerators)} and {len(denominators)} samples"
        raise ValueError(message)
    logs = [math.log(one / other) for one, other in zip(numerators, denominators, strict=True)]
    middle = statistics.fmean(logs)
    half = half_width(statistics.stdev(logs), pairs=len(logs), confidence=confidence)
    return RatioInterval(
        ratio=math.exp(middle),
        low=math.exp(middle - half),
        high=math.exp(middle + half),
        confidence=confidence,
        pairs=len(logs),
    )


def half_width(deviation: float, *, pairs: int, confidence: float) -> float:
    """Return half the width of Student's t interval for a mean of `pairs` values with this standard deviation."""
    from scipy.special import stdtrit  # noqa: PLC0415 - it costs a tenth of a second, and most sessions never need it

    return float(stdtrit(pairs - 1, (1 + confidence) / 2)) * deviation / math.sqrt(pairs)


def pairs_needed(interval: RatioInterval, *, demanded: float) -> int:
    """Foretell how many pairs in all would set the interval clear of a demanded ratio; at most a million.

    It only plans a budget for a measurement taken afresh: it assumes that the next pairs are like those seen.

    Args:
        interval: what the pairs so far say.
        demanded: the ratio that the interval must not hold.
    """
    distance = abs(math.log(interval.ratio / demanded))
    spread = math.log(interval.high / interval.low) / 2
    if spread < distance:
        return interval.pairs
    most = 1_000_000
    return most if distance == 0 else min(most, math.ceil(interval.pairs * (spread / distance) ** 2) + 1)


@dataclass(frozen=True, kw_only=True, slots=True)
class MeanBound:
    """Between what a mean lies, after so many values; valid at every moment, however often somebody looks.

    Attributes:
        mean: of the values so far.
        half_width: the mean's true value is no further away; infinite while there are too few values.
        confidence: the probability that this holds at all moments together.
        count: how many values.
        deviation: the standard deviation of one value.
    """

    mean: float
    half_width: float
    confidence: float
    count: int
    deviation: float

    @property
    def low(self) -> float:
        """The lower end."""
        return self.mean - self.half_width

    @property
    def high(self) -> float:
        """The upper end."""
        return self.mean + self.half_width


def anytime_half_width(deviation: float, *, count: int, confidence: float) -> float:
    """Return half the width of the anytime-valid interval for the mean of `count` values with this deviation."""
    if count < 2:  # noqa: PLR2004 - one value has no spread
        return math.inf
    spread = 1 + count * _MIXTURE_VARIANCE
    ratio = math.exp((math.log(spread) - 2 * math.log(1 - confidence)) / count)
    if ratio >= spread:
        return math.inf
    return deviation * math.sqrt((count - 1) / count * (ratio - 1) / (1 - ratio / spread))


def values_needed(deviation: float, *, distance: float, confidence: float) -> int:
    """Foretell how many values in all would make half of the interval narrower than a distance; at most a million.

    Args:
        deviation: the standard deviation of one value.
        distance: from the mean to what the interval must not hold.
        confidence: of the interval, at all moments together.
    """
    most = 1_000_000
    low, high = 2, most
    while low < high:
        middle = (low + high) // 2
        if anytime_half_width(deviation, count=middle, confidence=confidence) < distance:
            high = middle
        else:
            low = middle + 1
    return low
