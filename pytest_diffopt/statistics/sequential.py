"""When a session of pairs has seen enough, and what it has seen: slower, faster, not slower, or nothing yet.

Two mistakes are possible, and they do not cost the same. Calling the same code slower is bounded for all looks together
by the confidence sequence of `statistics`; calling slower code as fast is bounded likewise, less strictly. Between half
of the margin and one and a half of it either answer is right, and the estimate's side of the margin decides.

Two processes of the same code differ a little for as long as they live, by where their memory came to lie, and no
longer look at them tells that from a difference of the code. So each interval is as wide as it must be for that too: it
gets narrower with each pair of processes that is started anew. And once in a while one process differs by far more, as
where something tuned itself badly: nothing is slower or faster by one pair alone, nor unless most pairs say so.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from statistics import NormalDist
from typing import TYPE_CHECKING

from pytest_diffopt.records import Device, PairedTiming
from pytest_diffopt.statistics.intervals import anytime_half_width
from pytest_diffopt.statistics.robust_ratio import RobustRatio, robust_ratio

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Array = npt.NDArray[np.float64]
    Decisions = npt.NDArray[np.int_]

#: A case is timed by so many pairs of processes, one after the other, unless the first are enough.
PAIRS_OF_PROCESSES = 6
#: The probability that what is slower than one and a half of the margin is called as fast.
_MISSES = 0.01
#: The standard deviation of the logarithm of the ratio that two processes of the same code show, each looked at for
#: long. Measured by benchmarks/false_alarms on a machine that others use too: 0.3 % to 0.5 % by processor time, side by
#: side; 1.0 % by the clock on the wall, where what slows a machine down for minutes has its part in it. On a GPU,
#: which nobody else uses, it was not measured, and is taken for what memory alone does.
_PROCESSES_DIFFER_BY = 0.005
_BY_THE_CLOCK_ON_A_PROCESSOR = 0.01
_INDIFFERENCE = 0.5
_LEAST_PAIRS_OF_PROCESSES = 2
#: A block holds so many.
PAIRS_OF_TIMES = 2
_FIRST_LOOK = 4
_NEXT_LOOK = 1.1


class Decision(IntEnum):
    """What a session has shown so far."""

    OPEN = 0
    SLOWER = 1
    FASTER = 2
    NOT_SLOWER = 3


@dataclass(frozen=True, kw_only=True, slots=True)
class SequentialRule:
    """What counts as slower.

    Attributes:
        margin: the slowdown that is allowed, as a fraction.
        false_alarms: the probability that what is no slower than half of the margin is ever called slower.
        processes_differ_by: the standard deviation of what two processes of the same code differ by, as a fraction.
    """

    margin: float
    false_alarms: float
    processes_differ_by: float = _PROCESSES_DIFFER_BY

    @property
    def confidence(self) -> float:
        """Of the interval whose lower end must clear half of the margin; either end alone is surer."""
        return 1 - 2 * self.false_alarms

    def decide(self, base: "Array", head: "Array", *, blocks_of_pairs: Sequence[int]) -> "Decisions":
        """Say what each session has shown.

        Args:
            base: logarithms of base's times, shape (sessions, pairs of times), two pairs of times a block.
            head: of head's.
            blocks_of_pairs: how many blocks each pair of processes timed, one after the other.
        """
        import numpy as np  # noqa: PLC0415 - only who times in pairs waits for it

        seen, processes = robust_ratio(base, head), as_many_processes(blocks_of_pairs)
        size = np.abs(seen.log_ratio)
        differs = (size > self._log(1)) & (size - self.half_width(seen, processes) > self._log(_INDIFFERENCE))
        differs &= self._most_agree((head - base) * np.sign(seen.log_ratio)[:, None], blocks_of_pairs)
        at_most = seen.log_ratio + self._half_width(seen, processes, probability=_MISSES)
        is_as_fast = at_most < self._log(1 + _INDIFFERENCE)
        decisions: Decisions = np.select(
            [differs & (seen.log_ratio > 0), differs, is_as_fast & (seen.log_ratio <= self._log(1))],
            [Decision.SLOWER, Decision.FASTER, Decision.NOT_SLOWER],
            Decision.OPEN,
        )
        return decisions

    def half_width(self, seen: RobustRatio, processes: float) -> "Array":
        """Return half the width of the interval behind a slower or faster.

        Args:
            seen: what was timed.
            processes: by how many pairs of processes; see `as_many_processes`.
        """
        return self._half_width(seen, processes, probability=self.false_alarms)

    def distance_to_decide(self, log_ratio: float) -> tuple[float, float]:
        """Return how narrow half an interval of the times alone must be to decide at this estimate by all processes.

        Returns:
            That, 0 where no number of times would do, and at what confidence.
        """
        if log_ratio > self._log(1):
            distance, probability = log_ratio - self._log(_INDIFFERENCE), self.false_alarms
        else:
            distance, probability = self._log(1 + _INDIFFERENCE) - log_ratio, _MISSES
        left = distance**2 - self._of_processes(PAIRS_OF_PROCESSES, probability) ** 2
        return math.sqrt(max(0.0, left)), 1 - 2 * probability

    def _most_agree(self, differences: "Array", blocks_of_pairs: Sequence[int]) -> "npt.NDArray[np.bool_]":
        """Tell of each session whether two pairs of processes at least, and most of them, differ by half of the margin.

        The last pair, which may have only begun, says nothing before it has timed half as much as one before it.
        """
        import numpy as np  # noqa: PLC0415 - as above

        ends, earlier = np.cumsum(blocks_of_pairs) * PAIRS_OF_TIMES, blocks_of_pairs[:-1]
        enough = [1.0 for _ in earlier] + [min(filter(None, earlier), default=1) / 2]
        heard = [
            np.median(differences[:, end - PAIRS_OF_TIMES * blocks : end], axis=-1) > self._log(_INDIFFERENCE)
            for blocks, end, least in zip(blocks_of_pairs, ends, enough, strict=False)
            if blocks >= least
        ]
        if len(heard) < _LEAST_PAIRS_OF_PROCESSES:
            return np.zeros(len(differences), dtype=bool)
        agreeing = np.sum(heard, axis=0)
        most: npt.NDArray[np.bool_] = (agreeing >= _LEAST_PAIRS_OF_PROCESSES) & (2 * agreeing > len(heard))
        return most

    def _half_width(self, seen: RobustRatio, processes: float, *, probability: float) -> "Array":
        """Return half the width of an interval that either end of which misses the truth so seldom."""
        import numpy as np  # noqa: PLC0415 - as above

        of_one = anytime_half_width(1.0, count=seen.count, confidence=1 - 2 * probability)
        # times that do not differ at all bound nothing either while they are too few
        of_times = seen.deviation * of_one if math.isfinite(of_one) else np.full_like(seen.deviation, np.inf)
        half_width: Array = np.hypot(of_times, self._of_processes(processes, probability))
        return half_width

    def _of_processes(self, processes: float, probability: float) -> float:
        """Return what of half the width is for the processes."""
        return NormalDist().inv_cdf(1 - probability) * self.processes_differ_by / math.sqrt(processes)

    def _log(self, margins: float) -> float:
        return math.log1p(margins * self.margin)


def processes_differ_by(timing: PairedTiming, device: Device) -> float:
    """Return how much two processes of the same code differ, timed so on this kind of device."""
    by_the_clock = timing is PairedTiming.INTERLEAVED and device is Device.CPU
    return _BY_THE_CLOCK_ON_A_PROCESSOR if by_the_clock else _PROCESSES_DIFFER_BY


def as_many_processes(blocks_of_pairs: Sequence[int]) -> float:
    """Return how many pairs of processes with equally many blocks would tell as much; 1 before the first block.

    The mean over all blocks scatters by what two processes differ by, over the root of this (Kish, "Survey Sampling",
    1965, for unequal weights).

    Args:
        blocks_of_pairs: how many blocks each pair has timed so far.
    """
    total = sum(blocks_of_pairs)
    return total**2 / sum(blocks**2 for blocks in blocks_of_pairs) if total else 1.0


def looks(most: int) -> Iterator[int]:
    """Return after how many blocks a session is looked at: seldom, as each look makes the next less sure."""
    block, after = _FIRST_LOOK, float(_FIRST_LOOK)
    while block < most:
        yield block
        after = max(block + 1, after * _NEXT_LOOK)
        block = int(after)
    yield most


def is_look(blocks: int) -> bool:
    """Tell whether a session is looked at after so many blocks."""
    return blocks >= _FIRST_LOOK and blocks in looks(blocks + 1)
