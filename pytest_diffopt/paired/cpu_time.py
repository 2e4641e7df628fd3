"""Measure the wall-clock time and the CPU time of calls."""

import math
import time
from collections.abc import Callable
from pathlib import Path

from pytest_diffopt.paired.messages import Timed

#: The number of attempts, of which one is expected to run almost undisturbed: at least this many,
_FEWEST_ATTEMPTS = 5
#: and this many while they are short. Of pairs of processes on two busy cores, a tenth had no undisturbed call in five.
_MOST_ATTEMPTS, _ENOUGH_NS = 20, 2_000_000_000
#: A share this close to 1 comes from an undisturbed call.
_UNDISTURBED = 0.0005
#: Linux reports here how long this thread ran, and how long it waited for a core; both in nanoseconds.
_SCHEDSTAT = Path("/proc/thread-self/schedstat")


def timed(time_ns: Callable[[], int]) -> Timed:
    """Return the wall-clock time and the CPU time of calls.

    Args:
        time_ns: makes the calls and returns their wall-clock time.
    """
    start_ns = time.process_time_ns()
    duration_ns = time_ns()
    return Timed(duration_ns=duration_ns, cpu_ns=time.process_time_ns() - start_ns)


def cpu_share(time_ns: Callable[[], int]) -> float:
    """Return the CPU time of a call divided by its wall-clock time: 1 if one thread computes and never blocks.

    Other processes on the same core delay the call without being part of it. That delay is subtracted if the system
    reports it, and the least disturbed of several calls counts.

    Args:
        time_ns: makes a call and returns its wall-clock time.
    """
    nearest, spent_ns = math.inf, 0
    for attempt in range(_MOST_ATTEMPTS):
        share, duration_ns = _share(time_ns)
        nearest, spent_ns = min(nearest, share, key=_distance), spent_ns + duration_ns
        is_enough = attempt + 1 >= _FEWEST_ATTEMPTS and spent_ns >= _ENOUGH_NS
        if is_enough or _distance(nearest) <= _UNDISTURBED:
            break
    return nearest


def _distance(share: float) -> float:
    return abs(1 - share)


def _share(time_ns: Callable[[], int]) -> tuple[float, int]:
    """Return the share of one call, and its duration in nanoseconds."""
    before_ns = _runnable_ns()
    measured = timed(time_ns)
    delayed_ns = _runnable_ns() - before_ns
    share = measured.cpu_ns / measured.duration_ns
    if share < 1:
        share = min(1.0, measured.cpu_ns / max(1, measured.duration_ns - delayed_ns))
    return share, measured.duration_ns


def _runnable_ns() -> int:
    """Return how long this thread was ready to run and had no core; 0 if the system does not report it."""
    try:
        return int(_SCHEDSTAT.read_text().split()[1])
    except (OSError, IndexError, ValueError):  # not Linux, or a kernel without scheduler statistics
        return 0
