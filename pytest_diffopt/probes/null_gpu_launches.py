"""What was launched on the null GPU: the evidence that a call ran there."""

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
