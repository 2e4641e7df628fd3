"""What was launched on the null GPU: the evidence that a call ran there."""

from pytest_diffopt.null_gpu.counters import TallyKind, read_counts

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
