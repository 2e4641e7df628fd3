"""Measures the cases that are left, one by one, as long as the budget lasts."""

import argparse
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from benchmarks.on_gpu.command import Figures
from benchmarks.on_gpu.results import Results

#: Measures one case by its name within so many seconds; None when it was cut off.
Attempt = Callable[[str, float], Figures | None]

# What a case compiled before it was cut off is in Inductor's cache, so the next attempt comes further; not for ever.
_ATTEMPTS = 3


@dataclass(frozen=True, kw_only=True, slots=True)
class Budget:
    """The time of one command.

    Attributes:
        seconds: all of it.
        clock: returns seconds and never runs backwards.
        start: what the clock said when the command began.
        least_seconds: a case that gets less would hardly end.
    """

    seconds: float
    clock: Callable[[], float]
    start: float
    least_seconds: float

    @property
    def left_seconds(self) -> float:
        """What is left of it."""
        return self.seconds - (self.clock() - self.start)

    @property
    def is_spent(self) -> bool:
        """Whether the next case would hardly begin; a small budget is used up to its last quarter."""
        return self.left_seconds < min(self.least_seconds, self.seconds / 4)


def positive_seconds(text: str) -> float:
    """Read a budget from the command line."""
    seconds = float(text)
    if not (math.isfinite(seconds) and seconds > 0):
        msg = f"must be a positive number of seconds, got: {text}"
        raise argparse.ArgumentTypeError(msg)
    return seconds


def measure_all(
    names: Sequence[str], results: Results, attempt: Attempt, *, budget: Budget, progress: Callable[[str], None]
) -> list[str]:
    """Measure what the results lack, and return the names that are left when the budget is spent.

    Args:
        names: every case, in order.
        results: what is there is not measured again.
        attempt: measures one case.
        budget: no case is begun when it is spent; the one that runs then is cut off.
        progress: shows a line.
    """
    left = [name for name in names if name not in results.cases]
    while left and not budget.is_spent:
        name = left[0]
        progress(f"{len(names) - len(left) + 1} of {len(names)}: {name}")
        if not _measure(name, results, attempt, budget):
            break
        left.remove(name)
    return left


def _measure(name: str, results: Results, attempt: Attempt, budget: Budget) -> bool:
    """Measure one case; tell whether it is done with, be it that it never will be."""
    given_seconds = budget.left_seconds
    figures = attempt(name, given_seconds)
    if figures is None:
        results.note_cut_off(name, given_seconds)
        cut_off = results.cut_off_seconds[name]
        if len(cut_off) < _ATTEMPTS:
            return False
        given = ", ".join(f"{seconds:.0f} s" for seconds in cut_off)
        figures = {"failed": f"given up: it was cut off {len(cut_off)} times, after {given}"}
    results.keep(name, figures)
    return True
