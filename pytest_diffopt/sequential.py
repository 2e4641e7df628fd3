"""When a session of pairs has seen enough, and what it has seen: slower, faster, not slower, or nothing yet.

Two mistakes are possible, and they do not cost the same. Calling the same code slower is bounded for all looks together
by the confidence sequence of `statistics`; calling slower code as fast is bounded likewise, less strictly. Between half
of the margin and one and a half of it either answer is right, and the estimate's side of the margin decides.

Two processes of the same code differ a little, for as long as they live. So nothing is called slower or faster by one
pair of processes, nor by two, unless it is so by more than two processes differ.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING

from pytest_diffopt.robust_ratio import RobustRatio, robust_ratio
from pytest_diffopt.statistics import anytime_half_width

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Array = npt.NDArray[np.float64]
    Decisions = npt.NDArray[np.int_]

#: A case is timed by so many pairs of processes, one after the other, unless the first are enough.
PAIRS_OF_PROCESSES = 6
#: The probability that what is slower than one and a half of the margin is called as fast.
_MISSES = 0.01
_LEAST_PAIRS_OF_PROCESSES = 3
#: Past so many margins a slowdown is more than two processes of the same code differ by.
_CLEAR_MARGINS = 3
_INDIFFERENCE = 0.5
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
    """

    margin: float
    false_alarms: float

    @property
    def confidence(self) -> float:
        """Of the interval whose lower end must clear half of the margin; either end alone is surer."""
        return 1 - 2 * self.false_alarms

    def decide(self, base: "Array", head: "Array", *, processes: int) -> "Decisions":
        """Say what each session has shown.

        Args:
            base: logarithms of base's times, shape (sessions, pairs).
            head: of head's.
            processes: how many pairs of processes timed them to the end of their share of the budget.
        """
        import numpy as np  # noqa: PLC0415 - only who times in pairs waits for it

        seen = robust_ratio(base, head)
        size = np.abs(seen.log_ratio)
        at_least = size - self.alarm_half_width(seen)
        proven = _INDIFFERENCE if processes >= _LEAST_PAIRS_OF_PROCESSES else _CLEAR_MARGINS
        differs = (size > self._log(1)) & (at_least > self._log(proven))
        is_as_fast = seen.log_ratio + self.miss_half_width(seen) < self._log(1 + _INDIFFERENCE)
        decisions: Decisions = np.select(
            [differs & (seen.log_ratio > 0), differs, is_as_fast & (seen.log_ratio <= self._log(1))],
            [Decision.SLOWER, Decision.FASTER, Decision.NOT_SLOWER],
            Decision.OPEN,
        )
        return decisions

    def alarm_half_width(self, seen: RobustRatio) -> "Array":
        """Return half the width of the interval behind a slower or faster."""
        return seen.deviation * _factor(seen.count, self.confidence)

    def miss_half_width(self, seen: RobustRatio) -> "Array":
        """Return half the width of the interval behind a not slower."""
        return seen.deviation * _factor(seen.count, 1 - 2 * _MISSES)

    def distance_to_decide(self, log_ratio: float) -> tuple[float, float]:
        """Return how narrow half an interval must be to decide at this estimate, and at what confidence."""
        if log_ratio > self._log(1):
            return log_ratio - self._log(_INDIFFERENCE), self.confidence
        return self._log(1 + _INDIFFERENCE) - log_ratio, 1 - 2 * _MISSES

    def _log(self, margins: float) -> float:
        return math.log1p(margins * self.margin)


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


def _factor(count: int, confidence: float) -> float:
    return anytime_half_width(1.0, count=count, confidence=confidence)
