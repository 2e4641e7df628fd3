"""What a sequential rule decides on a machine whose spread between pairs of processes was measured.

Sources:
    The interval of a standard deviation: the quantiles of chi-squared, for values that are about normal.
    The interval of a fraction: Clopper and Pearson, "The Use of Confidence or Fiducial Limits Illustrated in the Case
    of the Binomial", Biometrika 26 (1934).
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pytest_diffopt.statistics.robust_ratio import MEDIAN_VARIANCE
from pytest_diffopt.statistics.sequential import Decision, Ended, SequentialRule

Array = npt.NDArray[np.float64]

_T_DEGREES = 3


@dataclass(frozen=True, kw_only=True, slots=True)
class Spread:
    """The standard deviation of one pair's log-ratio, with its uncertainty.

    Attributes:
        deviation: the estimate, as a fraction.
        low: the lower limit that the true one exceeds with `confidence`.
        high: the upper limit that it does not exceed with `confidence`.
        confidence: of each limit, as a fraction.
        pairs: the number of pairs of processes.
    """

    deviation: float
    low: float
    high: float
    confidence: float
    pairs: int


def spread_of(log_ratios: Sequence[float], *, confidence: float = 0.95) -> Spread:
    """Estimate the spread between pairs of processes of the same code.

    Args:
        log_ratios: the log-ratio of each pair of processes, at least two.
        confidence: of each limit, as a fraction.
    """
    from scipy.special import chdtri  # noqa: PLC0415 - scipy takes 0.1 s to import, and most sessions do not need it

    degrees = len(log_ratios) - 1
    # Around their mean, also if they are of one injected slowdown.
    deviation = float(np.std(log_ratios, ddof=1))
    low, high = (deviation * math.sqrt(degrees / float(chdtri(degrees, tail))) for tail in (1 - confidence, confidence))
    return Spread(deviation=deviation, low=low, high=high, confidence=confidence, pairs=len(log_ratios))


def exceeded_by_chance(values: Sequence[float], *, margin: float) -> float:
    """Return the probability that another session of the same code exceeds the median of earlier ones by a margin.

    It is Student's prediction for one more value, about log-normal, with the variance of a median of many values.
    Few sessions give a large probability, because their spread is not known well.

    Args:
        values: the positive figure of each earlier session, at least two.
        margin: as a fraction.
    """
    from scipy.special import stdtr  # noqa: PLC0415 - scipy takes 0.1 s to import, and most sessions do not need it

    logs = np.log(values)
    scale = float(np.std(logs, ddof=1)) * math.sqrt(1 + MEDIAN_VARIANCE / len(logs))
    return float(stdtr(len(logs) - 1, -math.log1p(margin) / scale)) if scale else 0.0


def upper_limit(count: int, trials: int, *, confidence: float = 0.95) -> float:
    """Return the fraction that the true one does not exceed with this confidence.

    Args:
        count: how often something happened.
        trials: how often it could have happened, at least once.
        confidence: as a fraction.
    """
    from scipy.special import betaincinv  # noqa: PLC0415 - scipy takes 0.1 s to import

    return 1.0 if count >= trials else float(betaincinv(count + 1, trials - count, confidence))


def lower_limit(count: int, trials: int, *, confidence: float = 0.95) -> float:
    """Return the fraction that the true one is not below with this confidence; see `upper_limit`."""
    return 1.0 - upper_limit(trials - count, trials, confidence=confidence)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class SimulatedSessions:
    """Sessions of the same code whose pairs of processes differ with a standard deviation of 1; judged by any rule.

    Attributes:
        shapes: for each distribution of the difference, values of shape (sessions, pairs): normal, and Student's t with
            three degrees of freedom, whose tails are much heavier.
    """

    shapes: tuple[Array, ...]

    @classmethod
    def drawn(cls, *, pairs: int, sessions: int = 4000, seed: int = 0) -> "SimulatedSessions":
        """Draw sessions of this many pairs of processes."""
        generator, size = np.random.default_rng(seed), (sessions, pairs)
        heavy = generator.standard_t(_T_DEGREES, size) / math.sqrt(_T_DEGREES / (_T_DEGREES - 2))
        return cls(shapes=(generator.normal(size=size), heavy))

    def ends(self, rule: SequentialRule, *, deviation: float, slowdown: float = 0.0) -> tuple[Ended, ...]:
        """Judge the sessions, one result for each distribution.

        Args:
            rule: the rule that decides.
            deviation: the standard deviation of a pair's log-ratio, as a fraction.
            slowdown: the true slowdown, as a fraction.
        """
        return tuple(rule.run(math.log1p(slowdown) + deviation * one) for one in self.shapes)

    def least(self, rule: SequentialRule, *decisions: Decision, deviation: float, slowdown: float = 0.0) -> float:
        """Return the fraction of sessions with one of these decisions, for the distribution in which it is smallest."""
        ends = self.ends(rule, deviation=deviation, slowdown=slowdown)
        return min(one.fraction(*decisions) for one in ends)


def smallest_step(is_enough: Callable[[float], bool], *, least: float, step: float, largest: float) -> float | None:
    """Return the smallest multiple of a step for which `is_enough`; None if there is none up to the largest.

    Args:
        is_enough: monotonic: true for all larger values than one for which it is true.
        least: the smallest value to try; rounded up to a multiple of the step.
        step: the step.
        largest: the largest value to try.
    """
    low, high = math.ceil(least / step), round(largest / step)
    if not is_enough(high * step):
        return None
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if is_enough(middle * step) else (middle + 1, high)
    return low * step
