"""Decide from pairs of times whether head is slower, faster or not slower than base, or whether to continue.

Two kinds of errors are possible, with different costs. The probability of calling the same code slower is bounded over
all looks by the confidence sequence of `intervals`; that of calling slower code as fast is bounded likewise, less
strictly. Between half of the margin and one and a half of it either answer is correct, and the estimate's side of the
margin decides.

Two processes of the same code differ slightly for their whole lifetime, because their memory layouts differ. Measuring
longer cannot distinguish this from a code change. So each interval includes this difference, and gets narrower with
each new pair of processes. Occasionally one process differs by far more, for example after a bad autotuning choice. So
a result of slower or faster requires at least two pairs of processes, and a majority of all pairs.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from pytest_diffopt.records import Device, PairedTiming
from pytest_diffopt.statistics.intervals import anytime_half_width
from pytest_diffopt.statistics.robust_ratio import RobustRatio, robust_ratio

Array = npt.NDArray[np.float64]
Decisions = npt.NDArray[np.int_]

#: The largest number of pairs of processes that time a case, one after the other.
PAIRS_OF_PROCESSES = 6
#: The probability that code slower than one and a half of the margin is called as fast.
_MISS_PROBABILITY = 0.01
#: The standard deviation of the log-ratio of two processes of the same code, each measured for long.
#: benchmarks/false_alarms on a shared machine: 0.3 % to 0.5 % of CPU time, measured concurrently; 1.0 % of wall-clock
#: time, which includes load that lasts for minutes. Not measured on a GPU; 0.5 % is assumed.
_PROCESS_DEVIATION = 0.005
_PROCESS_DEVIATION_OF_WALL_CLOCK_ON_CPU = 0.01
_INDIFFERENCE = 0.5
_LEAST_PAIRS_OF_PROCESSES = 2
#: The number of pairs of times in a block.
PAIRS_OF_TIMES = 2
_FIRST_LOOK = 4
_NEXT_LOOK = 1.1


class Decision(IntEnum):
    """The result of a session so far."""

    OPEN = 0
    SLOWER = 1
    FASTER = 2
    NOT_SLOWER = 3


@dataclass(frozen=True, kw_only=True, slots=True)
class SequentialRule:
    """A sequential test of head against base.

    Attributes:
        margin: the allowed slowdown, as a fraction.
        false_alarms: the probability that code slower by at most half of the margin is ever called slower.
        between_process_deviation: the standard deviation of the relative difference of two processes of the same code.
    """

    margin: float
    false_alarms: float
    between_process_deviation: float = _PROCESS_DEVIATION

    @property
    def confidence(self) -> float:
        """The confidence of the two-sided interval whose lower end must exceed half of the margin."""
        return 1 - 2 * self.false_alarms

    def decide(self, base: Array, head: Array, *, blocks_of_pairs: Sequence[int]) -> Decisions:
        """Return the decision of each session, shape (sessions,).

        Args:
            base: logarithms of base's times, shape (sessions, pairs of times), two pairs of times per block.
            head: logarithms of head's times, same shape.
            blocks_of_pairs: the number of blocks of each pair of processes, in order.
        """
        seen, processes = robust_ratio(base, head), effective_processes(blocks_of_pairs)
        size = np.abs(seen.log_ratio)
        differs = (size > self._log(1)) & (size - self.half_width(seen, processes) > self._log(_INDIFFERENCE))
        differs &= self._most_agree((head - base) * np.sign(seen.log_ratio)[:, None], blocks_of_pairs)
        at_most = seen.log_ratio + self._half_width(seen, processes, probability=_MISS_PROBABILITY)
        is_as_fast = at_most < self._log(1 + _INDIFFERENCE)
        decisions: Decisions = np.select(
            [differs & (seen.log_ratio > 0), differs, is_as_fast & (seen.log_ratio <= self._log(1))],
            [Decision.SLOWER, Decision.FASTER, Decision.NOT_SLOWER],
            Decision.OPEN,
        )
        return decisions

    def half_width(self, seen: RobustRatio, processes: float) -> Array:
        """Return half the width of the interval that decides slower or faster.

        Args:
            seen: the estimates.
            processes: the effective number of pairs of processes; see `effective_processes`.
        """
        return self._half_width(seen, processes, probability=self.false_alarms)

    def distance_to_decide(self, log_ratio: float) -> tuple[float, float]:
        """Return the half width that the interval of the times alone must reach to decide with all pairs of processes.

        Args:
            log_ratio: the estimate, assumed to stay the same.

        Returns:
            The half width, 0 if no number of times suffices; and the confidence of that interval.
        """
        if log_ratio > self._log(1):
            distance, probability = log_ratio - self._log(_INDIFFERENCE), self.false_alarms
        else:
            distance, probability = self._log(1 + _INDIFFERENCE) - log_ratio, _MISS_PROBABILITY
        left = distance**2 - self._of_processes(PAIRS_OF_PROCESSES, probability) ** 2
        return math.sqrt(max(0.0, left)), 1 - 2 * probability

    def _most_agree(self, differences: Array, blocks_of_pairs: Sequence[int]) -> npt.NDArray[np.bool_]:
        """Return for each session whether at least two, and most, pairs of processes differ by half of the margin.

        The last pair may have only begun. It counts once it has half as many blocks as the shortest earlier pair.
        """
        ends, earlier = np.cumsum(blocks_of_pairs) * PAIRS_OF_TIMES, blocks_of_pairs[:-1]
        enough = [1.0 for _ in earlier] + [min(filter(None, earlier), default=1) / 2]
        votes = [
            np.median(differences[:, end - PAIRS_OF_TIMES * blocks : end], axis=-1) > self._log(_INDIFFERENCE)
            for blocks, end, least in zip(blocks_of_pairs, ends, enough, strict=False)
            if blocks >= least
        ]
        if len(votes) < _LEAST_PAIRS_OF_PROCESSES:
            return np.zeros(len(differences), dtype=bool)
        agreeing = np.sum(votes, axis=0)
        most: npt.NDArray[np.bool_] = (agreeing >= _LEAST_PAIRS_OF_PROCESSES) & (2 * agreeing > len(votes))
        return most

    def _half_width(self, seen: RobustRatio, processes: float, *, probability: float) -> Array:
        """Return half the width of an interval each end of which misses the true value with this probability."""
        of_one = anytime_half_width(1.0, count=seen.count, confidence=1 - 2 * probability)
        # With too few times the bound is infinite, even if all of them are equal.
        of_times = seen.deviation * of_one if math.isfinite(of_one) else np.full_like(seen.deviation, np.inf)
        half_width: Array = np.hypot(of_times, self._of_processes(processes, probability))
        return half_width

    def _of_processes(self, processes: float, probability: float) -> float:
        """Return the part of the half width that covers the difference between processes."""
        return NormalDist().inv_cdf(1 - probability) * self.between_process_deviation / math.sqrt(processes)

    def _log(self, margins: float) -> float:
        return math.log1p(margins * self.margin)


def between_process_deviation(timing: PairedTiming, device: Device) -> float:
    """Return the standard deviation of the relative difference of two processes of the same code."""
    is_wall_clock_on_cpu = timing is PairedTiming.INTERLEAVED and device is not Device.CUDA
    return _PROCESS_DEVIATION_OF_WALL_CLOCK_ON_CPU if is_wall_clock_on_cpu else _PROCESS_DEVIATION


def effective_processes(blocks_of_pairs: Sequence[int]) -> float:
    """Return the effective number of pairs of processes (Kish, "Survey Sampling", 1965); 1 before the first block.

    The standard deviation of the mean over all blocks is that of one pair of processes divided by the root of this.

    Args:
        blocks_of_pairs: the number of blocks of each pair of processes so far.
    """
    total = sum(blocks_of_pairs)
    return total**2 / sum(blocks**2 for blocks in blocks_of_pairs) if total else 1.0


def looks(most: int) -> Iterator[int]:
    """Yield the numbers of blocks after which a session is judged, at growing intervals, and `most` at the end."""
    block, after = _FIRST_LOOK, float(_FIRST_LOOK)
    while block < most:
        yield block
        after = max(block + 1, after * _NEXT_LOOK)
        block = int(after)
    yield most


def is_look(blocks: int) -> bool:
    """Return whether a session is judged after this number of blocks."""
    return blocks >= _FIRST_LOOK and blocks in looks(blocks + 1)
