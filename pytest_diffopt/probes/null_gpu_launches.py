"""What was launched on the null GPU, by denoise step: the evidence that a call ran there."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from pytest_diffopt.null_gpu.counters import TallyKind, read_counts
from pytest_diffopt.records import Device, Subject

_LAUNCHES = (
    TallyKind.KERNEL,
    TallyKind.LIBRARY_CALL,
    TallyKind.GRAPH_KERNEL,
    TallyKind.GRAPH_LIBRARY_CALL,
)


def launches_so_far() -> int:
    """Return the kernels and library calls of this process until now, those of graph launches included."""
    counts = read_counts()
    return sum(counts.total(kind) for kind in _LAUNCHES)


@dataclass(kw_only=True)
class Launches:
    """The launches of a block; None where nothing counts them."""

    number: int | None = None


@contextmanager
def counted_launches(subject: Subject) -> Iterator[Launches]:
    """Count the launches of a block on the null GPU; nothing counts them on another device."""
    launches = Launches()
    before = launches_so_far() if subject.device is Device.NULL_GPU else None
    yield launches
    if before is not None:
        launches.number = launches_so_far() - before


class LaunchesPerStep:
    """Counts the launches of each step.

    Attributes:
        step: the current step; None outside of all steps.
        by_step: the launches of each step that has ended.
    """

    def __init__(self) -> None:
        self.step: int | None = None
        self.by_step: Counter[int] = Counter()
        self._before = 0

    def enter(self, step: int | None) -> None:
        """End the current step and start another; None for work that belongs to no step."""
        now = launches_so_far()
        if self.step is not None:
            self.by_step[self.step] += now - self._before
        self.step, self._before = step, now
