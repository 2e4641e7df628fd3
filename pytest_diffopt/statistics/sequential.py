"""Decide whether head is slower, faster or not slower than base from one log-ratio of each pair of processes.

Two processes of the same code differ slightly for their whole lifetime, because their memory layouts differ. Measuring
one pair longer cannot distinguish this from a code change. So the unit of replication is a pair of processes, both
started from scratch: the spread of the pairs' log-ratios contains the difference between processes and what is left of
the noise within them, and Student's t takes its uncertainty into account. Nothing about the spread is assumed but that
the log-ratios are independent and about normal; benchmarks/error_rates measures what other distributions change.

A session is judged at fixed numbers of pairs, its looks. The probability of each kind of error is spent over them, and
the sum of what is spent is its bound at all looks together (the union bound), whatever the dependence between looks.

Sources:
    Spending an error probability over looks: Lan and DeMets, "Discrete Sequential Boundaries for Clinical Trials",
    Biometrika 70 (1983); the power family: Kim and DeMets, "Design and Analysis of Group Sequential Tests Based on the
    Type I Error Spending Rate Function", Biometrika 74 (1987). Adding the levels of the looks instead of integrating
    over their joint distribution is conservative.
    Student's t for symmetric, long-tailed values is conservative: Benjamini, "Is the t Test Really Conservative When
    the Parent Distribution is Long-Tailed?", JASA 78 (1983). The log-ratio of two processes of the same code is
    symmetric, whatever the distribution of one process.
    Processes of two kinds, such as well and badly placed in memory: a difference of one sign in all of n pairs has a
    probability of at most 4 ** -n, because p (1 - p) <= 1/4. Such pairs have no spread, so a level below this
    probability is not used.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Decisions = npt.NDArray[np.int_]

#: The numbers of pairs of processes after which a session is judged.
LOOKS = (5, 9, 14, 20, 30)
#: The smallest number of pairs that can show that head is slower or faster.
FEWEST_PAIRS_OF_A_CHANGE = 9
#: The probability that code slower than one and a half of the margin is called as fast.
MISS_PROBABILITY = 0.01
_INDIFFERENCE = 0.5
#: The part of each error probability that is spent. The rest covers distributions with shorter tails than normal, for
#: which Student's t exceeds its level: by a fifth for the difference of two uniform values (benchmarks/error_rates).
_SPENT = 0.75
#: The exponents of the spending functions. Misses are spent early, so that unchanged code passes early.
_FALSE_ALARM_SPENDING = 1.0
_MISS_SPENDING = 0.5
#: The probability that two pairs of processes of two kinds differ in the same direction, at most.
_AGREEMENT_OF_ONE_PAIR = 0.25


class Decision(IntEnum):
    """The result of a session so far."""

    OPEN = 0
    SLOWER = 1
    FASTER = 2
    NOT_SLOWER = 3


@dataclass(frozen=True, kw_only=True, slots=True)
class RatioBound:
    """The estimated log-ratio of a session, with the interval that decides about it.

    Attributes:
        log_ratio: the mean of the pairs' log-ratios.
        half_width: half the width of the interval; infinite with fewer than two pairs.
        confidence: the confidence of the interval, as a fraction.
        pairs: the number of pairs of processes.
        deviation: the standard deviation of one pair's log-ratio; infinite with fewer than two pairs.
    """

    log_ratio: float
    half_width: float
    confidence: float
    pairs: int
    deviation: float

    @property
    def low(self) -> float:
        """The lower end."""
        return self.log_ratio - self.half_width

    @property
    def high(self) -> float:
        """The upper end."""
        return self.log_ratio + self.half_width


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Ended:
    """The ends of many sessions.

    Attributes:
        decisions: the decision of each session, shape (sessions,).
        pairs: the number of pairs of processes that each used, shape (sessions,).
    """

    decisions: Decisions
    pairs: Decisions

    def fraction(self, *decisions: Decision) -> float:
        """Return the fraction of sessions with one of these decisions."""
        return float(np.isin(self.decisions, decisions).mean())


@dataclass(frozen=True, kw_only=True, slots=True)
class SequentialRule:
    """A group-sequential t-test of head against base.

    Attributes:
        margin: the allowed slowdown, as a fraction.
        false_alarms: the probability that code slower by at most half of the margin is called slower at any look; and
            that code faster by at most half of it is called faster.
        looks: the numbers of pairs of processes after which a session is judged, in order.
    """

    margin: float
    false_alarms: float
    looks: tuple[int, ...] = LOOKS

    def decide(self, log_ratios: Array) -> Decisions:
        """Return the decision of each session, shape (sessions,); open for a number of pairs that is no look.

        Args:
            log_ratios: the log-ratio of head's time to base's of each pair of processes, shape (sessions, pairs).
        """
        pairs = log_ratios.shape[-1]
        if pairs not in self.looks:
            return np.full(len(log_ratios), Decision.OPEN, dtype=int)
        mean, deviation = log_ratios.mean(axis=-1), log_ratios.std(axis=-1, ddof=1)
        least = np.abs(mean) - _half_width(deviation, pairs, self._change_level(pairs))
        differs = (np.abs(mean) > self._log(1)) & (least > self._log(_INDIFFERENCE))
        most = mean + _half_width(deviation, pairs, self._miss_level(pairs))
        is_as_fast = (mean <= self._log(1)) & (most < self._log(1 + _INDIFFERENCE))
        decisions: Decisions = np.select(
            [differs & (mean > 0), differs, is_as_fast],
            [Decision.SLOWER, Decision.FASTER, Decision.NOT_SLOWER],
            Decision.OPEN,
        )
        return decisions

    def decide_one(self, log_ratios: Sequence[float]) -> Decision:
        """Return the decision of one session.

        Args:
            log_ratios: the log-ratio of each pair of processes so far, at least one.
        """
        return Decision(int(self.decide(np.asarray([log_ratios], dtype=np.float64))[0]))

    def run(self, log_ratios: Array) -> Ended:
        """Judge sessions at every look until each is decided.

        Args:
            log_ratios: as for `decide`, with as many pairs as a session may use.
        """
        sessions, most = log_ratios.shape
        decisions, used = np.zeros(sessions, dtype=int), np.full(sessions, most)
        for pairs in (look for look in self.looks if look <= most):
            is_open = np.flatnonzero(decisions == Decision.OPEN)
            decisions[is_open] = self.decide(log_ratios[is_open, :pairs])
            used[is_open[decisions[is_open] != Decision.OPEN]] = pairs
        return Ended(decisions=decisions, pairs=used)

    def bound(self, log_ratios: Sequence[float]) -> RatioBound:
        """Return the estimate of one session with the interval that decides about it.

        For an estimate above the margin, or below minus the margin, that is the interval that bounds false alarms;
        otherwise the one that bounds misses. Between two looks it is the interval of the next look's level.

        Args:
            log_ratios: the log-ratio of each pair of processes so far, at least one.
        """
        values, pairs = np.asarray(log_ratios, dtype=np.float64), len(log_ratios)
        mean = float(values.mean())
        level = self._level_at(mean, self._next_look(pairs)) or self._level_at(mean, self.looks[-1])
        deviation = float(values.std(ddof=1)) if pairs > 1 else math.inf
        half_width = float(_half_width(deviation, pairs, level)) if pairs > 1 else math.inf
        return RatioBound(
            log_ratio=mean, half_width=half_width, confidence=1 - 2 * level, pairs=pairs, deviation=deviation
        )

    def pairs_to_decide(self, bound: RatioBound) -> int | None:
        """Estimate the number of pairs at which a session is decided; None if the last look does not decide either.

        Args:
            bound: the session so far; its estimate and spread are assumed to stay the same.
        """
        distance = self._distance(bound.log_ratio)
        later = (look for look in self.looks if look > bound.pairs)
        widths = {look: _half_width(bound.deviation, look, self._level_at(bound.log_ratio, look)) for look in later}
        return next((look for look, half_width in widths.items() if half_width < distance), None)

    def deviation_to_decide(self, log_ratio: float) -> float:
        """Return the largest standard deviation of one pair at which the last look decides about this estimate."""
        most = self.looks[-1]
        return self._distance(log_ratio) / float(_half_width(1.0, most, self._level_at(log_ratio, most)))

    def _distance(self, log_ratio: float) -> float:
        """Return the half width that the interval must be narrower than."""
        if self._is_beyond_margin(log_ratio):
            return abs(log_ratio) - self._log(_INDIFFERENCE)
        return self._log(1 + _INDIFFERENCE) - log_ratio

    def _level_at(self, log_ratio: float, look: int) -> float:
        """Return the error probability of a look that decides about an estimate."""
        return self._change_level(look) if self._is_beyond_margin(log_ratio) else self._miss_level(look)

    def _is_beyond_margin(self, log_ratio: float) -> bool:
        return abs(log_ratio) > self._log(1)

    def _next_look(self, pairs: int) -> int:
        return next((look for look in self.looks if look >= pairs), self.looks[-1])

    def _change_level(self, look: int) -> float:
        """Return the probability of a false alarm at this look; 0 if no number of alike pairs would suffice."""
        looks = [one for one in self.looks if one >= FEWEST_PAIRS_OF_A_CHANGE]
        level = _spent_at(look, looks, _SPENT * self.false_alarms, _FALSE_ALARM_SPENDING)
        return level if level >= _AGREEMENT_OF_ONE_PAIR**look else 0.0

    def _miss_level(self, look: int) -> float:
        """Return the probability of a miss at this look."""
        return _spent_at(look, self.looks, _SPENT * MISS_PROBABILITY, _MISS_SPENDING)

    def _log(self, margins: float) -> float:
        return math.log1p(margins * self.margin)


def _spent_at(look: int, looks: Sequence[int], probability: float, exponent: float) -> float:
    """Return the part of an error probability that is spent at a look; 0 for a number of pairs that is none of them."""
    if look not in looks:
        return 0.0
    earlier = max((one for one in looks if one < look), default=0)
    spent, before = ((one / looks[-1]) ** exponent for one in (look, earlier))
    return float(probability * (spent - before))


def _half_width(deviation: Any, pairs: int, level: float) -> Any:
    """Return the distance that a mean of `pairs` values exceeds with this probability, to one side; infinite for 0."""
    from scipy.special import stdtrit  # noqa: PLC0415 - scipy takes 0.1 s to import, and most sessions do not need it

    if not level:
        return deviation + math.inf
    return deviation * float(stdtrit(pairs - 1, 1 - level)) / math.sqrt(pairs)
