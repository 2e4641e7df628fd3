"""Our samples in pytest-benchmark's table, JSON, comparison and histogram.

pytest-benchmark takes its samples itself and not at all under xdist; ours are needed there too, and with warm-up that
ends when calls have settled. So they are taken first and then replayed to it. This is the one file that touches its
private parts: the fixture's `_timer`.
"""

import itertools
from collections.abc import Iterator, Sequence
from typing import Any

_NS_PER_SECOND = 1e9


def hand_over(benchmark: Any, samples_ns: Sequence[int]) -> None:
    """Let the `benchmark` fixture of a test count exactly these samples, as rounds of one call.

    Where pytest-benchmark is switched off (xdist, `--benchmark-disable`) it counts nothing, by its own rule, and the
    fixture merely counts as used.

    Args:
        benchmark: the fixture; nothing else may have used it in this test.
        samples_ns: at least one sample.
    """
    # Every round reads the clock twice: at 0, and when the sample is over.
    readings: Iterator[float] = itertools.chain.from_iterable((0.0, sample / _NS_PER_SECOND) for sample in samples_ns)

    def device_synchronized_clock() -> float:
        return next(readings)

    own_timer = benchmark._timer  # noqa: SLF001 - there is no public way to bring samples of one's own
    benchmark._timer = device_synchronized_clock  # noqa: SLF001
    try:
        benchmark.pedantic(_already_called, rounds=len(samples_ns))
    finally:
        benchmark._timer = own_timer  # noqa: SLF001


def _already_called() -> None:
    """Stand in for the call, which was timed before."""
