"""Measure the remaining cases one by one within the budget."""

import argparse
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from benchmarks.on_gpu.command import Figures
from benchmarks.on_gpu.results import Results

#: Measures one case, given its name and time limit in seconds; returns None if it was cut off.
Attempt = Callable[[str, float], Figures | None]

# Inductor's cache keeps what a cut-off case compiled, so the next attempt gets further.
_ATTEMPTS = 3


@dataclass(frozen=True, kw_only=True, slots=True)
class Budget:
    """The time budget of one command.

    Attributes:
        seconds: the whole budget.
        clock: monotonic clock in seconds.
        start: clock reading at the start of the command.
        least_seconds: minimum time for a case.
    """

    seconds: float
    clock: Callable[[], float]
    start: float
    least_seconds: float

    @property
    def left_seconds(self) -> float:
        """The remaining time."""
        return self.seconds - (self.clock() - self.start)

    @property
    def is_spent(self) -> bool:
        """Whether too little time is left for another case; of a small budget at least three quarters are used."""
        return self.left_seconds < min(self.least_seconds, self.seconds / 4)


def positive_seconds(text: str) -> float:
    """Parse a budget of the command line."""
    seconds = float(text)
    if not (math.isfinite(seconds) and seconds > 0):
        msg = f"must be a positive number of seconds, got: {text}"
        raise argparse.ArgumentTypeError(msg)
    return seconds


def measure_all(
    names: Sequence[str], results: Results, attempt: Attempt, *, budget: Budget, progress: Callable[[str], None]
) -> list[str]:
    """Measure the cases without results, and return those that remain when the budget is spent.

    Args:
        names: every case, in order.
        results: the results; cases in it are not measured again.
        attempt: measures one case.
        budget: when it is spent, no case is started and a running case is cut off.
        progress: prints a line.
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
    """Measure one case; return whether it is finished, which includes giving up after several attempts."""
    given_seconds = budget.left_seconds
    figures = attempt(name, given_seconds)
    if figures is None:
        results.note_cut_off(name, given_seconds)
        cut_off = results.cut_off_seconds[name]
        if len(cut_off) < _ATTEMPTS:
            return False
        given = ", ".join(f"{seconds:.0f} s" for seconds in cut_off)
        figures = {"failed": f"given up: cut off {len(cut_off)} times, after {given}"}
    results.keep(name, figures)
    return True
