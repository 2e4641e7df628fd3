"""Estimate the ratio of head's time to base's from the pairs of times of one pair of processes.

Other load makes calls up to twice as slow, for tenths of a second at a time. Usually it slows both times of an adjacent
pair, and their ratio stays the same. If it slows only one of them, their ratio is an outlier, so the ratios are
summarized by their median, which half of them cannot move arbitrarily far.

The error of the median is not estimated from the times: times that follow one another depend on each other, and two
processes of the same code differ. Both are contained in the spread between pairs of processes; see `sequential`.
"""

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from pytest_diffopt.records import PairedBlock
from pytest_diffopt.statistics.intervals import NORMAL_CONSISTENCY

Array = npt.NDArray[np.float64]
Times = npt.NDArray[np.floating[Any]]

#: The number of pairs of times in a block.
PAIRS_OF_TIMES = 2
#: The variance of a median of many normal values in units of that of their mean.
MEDIAN_VARIANCE = math.pi / 2


def median_log_ratio(base: Times, head: Times) -> Array:
    """Return the logarithm of head's time over base's of each pair of processes, shape (...).

    Args:
        base: logarithms of base's times, shape (..., pairs of times), at least one.
        head: logarithms of head's times, same shape and order.
    """
    return np.asarray(np.median(head - base, axis=-1), dtype=np.float64)


def log_ratios_of(blocks: Sequence[PairedBlock], *, blocks_of_pairs: Sequence[int]) -> list[float]:
    """Return the log-ratio of each pair of processes that timed a block, in order.

    Args:
        blocks: the blocks of all pairs of processes, in order.
        blocks_of_pairs: the number of blocks of each pair of processes.
    """
    return [float(median_log_ratio(logs[:, 0], logs[:, 1])) for logs in _logs_of_pairs(blocks, blocks_of_pairs)]


def noise_of_pair(blocks: Sequence[PairedBlock], *, blocks_of_pairs: Sequence[int]) -> float:
    """Return the standard error of a pair's log-ratio as if its times were independent, averaged over the pairs.

    It is the part of the spread between pairs of processes that longer timing of each reduces.

    Args:
        blocks: the blocks of all pairs of processes, in order; at least one.
        blocks_of_pairs: the number of blocks of each pair of processes.
    """
    differences = [logs[:, 1] - logs[:, 0] for logs in _logs_of_pairs(blocks, blocks_of_pairs)]
    variances = [MEDIAN_VARIANCE * _scale(one) ** 2 / len(one) for one in differences]
    return math.sqrt(sum(variances) / len(variances))


def logs_of(blocks: Sequence[PairedBlock]) -> Array:
    """Return the logarithms of times in nanoseconds, shape (pairs, 2): columns base and head, two pairs per block."""
    times = np.array([(block.base_ns, block.head_ns) for block in blocks], dtype=np.float64)
    logs: Array = np.log(times).swapaxes(1, 2).reshape(-1, 2)
    return logs


def _logs_of_pairs(blocks: Sequence[PairedBlock], blocks_of_pairs: Sequence[int]) -> Iterator[Array]:
    start = 0
    for count in filter(None, blocks_of_pairs):
        yield logs_of(blocks[start : start + count])
        start += count


def _scale(values: Array) -> float:
    """Return a robust standard deviation."""
    return float(NORMAL_CONSISTENCY * np.median(np.abs(values - np.median(values))))
