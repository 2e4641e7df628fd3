"""How long calls take by the clock on the wall, and how much time of the processor."""

import math
import time
from collections.abc import Callable
from pathlib import Path

from pytest_diffopt.paired.messages import Timed

#: Of so many times one is hardly disturbed,
_TIMES = 5
#: and one that is so near to 1 was not.
_UNDISTURBED = 0.0005
#: Linux keeps here how long this thread computed, and how long it waited for a core; both in nanoseconds.
_SCHEDULED = Path("/proc/thread-self/schedstat")


def timed(time_ns: Callable[[], int]) -> Timed:
    """Return how long calls took, both ways.

    Args:
        time_ns: makes them, and returns their time by the clock on the wall.
    """
    start_ns = time.process_time_ns()
    duration_ns = time_ns()
    return Timed(duration_ns=duration_ns, processor_ns=time.process_time_ns() - start_ns)


def cpu_share(time_ns: Callable[[], int]) -> float:
    """Return the processor time of a call over its time: 1 where one thread computes and waits for nothing.

    Who wants the same core makes the call wait, which says nothing about it: that is taken out where the system tells
    it, and the least disturbed of a few calls counts.

    Args:
        time_ns: as for `timed`.
    """
    nearest = math.inf
    for _ in range(_TIMES):
        nearest = min(nearest, _share(time_ns), key=_distance)
        if _distance(nearest) <= _UNDISTURBED:
            break
    return nearest


def _distance(share: float) -> float:
    return abs(1 - share)


def _share(time_ns: Callable[[], int]) -> float:
    before_ns = _waited_for_core_ns()
    seen = timed(time_ns)
    waited_ns = _waited_for_core_ns() - before_ns
    if seen.processor_ns >= seen.duration_ns:
        return seen.processor_ns / seen.duration_ns
    return min(1.0, seen.processor_ns / max(1, seen.duration_ns - waited_ns))


def _waited_for_core_ns() -> int:
    try:
        return int(_SCHEDULED.read_text().split()[1])
    except (OSError, IndexError, ValueError):  # another system, or a kernel that does not keep it
        return 0
