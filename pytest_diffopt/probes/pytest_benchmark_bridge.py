"""Replay of our samples to pytest-benchmark, for its table, JSON, comparison and histogram.

pytest-benchmark measures by itself, but not under xdist, and without a warm-up that ends when times have settled. Our
samples are therefore measured first, and replayed afterwards. Only this module uses a private attribute of
pytest-benchmark: the fixture's `_timer`.
"""

import itertools
from collections.abc import Iterator, Sequence
from typing import Any

_NS_PER_SECOND = 1e9


def replay_samples(benchmark: Any, samples_ns: Sequence[int]) -> None:
    """Let a test's `benchmark` fixture record exactly these samples, as rounds of one call.

    When pytest-benchmark is disabled (xdist, `--benchmark-disable`) it records nothing, and the fixture counts as used.

    Args:
        benchmark: the fixture, not yet used in this test.
        samples_ns: at least one sample.
    """
    # Every round reads the clock twice: 0 at its start, the sample's time at its end.
    readings: Iterator[float] = itertools.chain.from_iterable((0.0, sample / _NS_PER_SECOND) for sample in samples_ns)

    def device_synchronized_clock() -> float:
        return next(readings)

    own_timer = benchmark._timer  # noqa: SLF001 - no public interface takes samples
    benchmark._timer = device_synchronized_clock  # noqa: SLF001
    try:
        benchmark.pedantic(_already_called, rounds=len(samples_ns))
    finally:
        benchmark._timer = own_timer  # noqa: SLF001


def _already_called() -> None:
    """Replace the call, which was timed before."""
