"""Estimate the ratio of head's time to base's from pairs of times on a shared machine.

Other load makes calls up to twice as slow, for tenths of a second at a time. Usually it slows both times of an adjacent
pair. If it slows only one of them, their ratio is an outlier, and its weight must be limited.

Source: Huber, "Robust Estimation of a Location Parameter", Annals of Mathematical Statistics 35 (1964): a ratio further
away than one standard deviation counts as one standard deviation away. For normal noise the efficiency is 90 %.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pytest_diffopt.records import PairedBlock
from pytest_diffopt.statistics.intervals import NORMAL_CONSISTENCY

Array = npt.NDArray[np.float64]

#: Newton's method converges within a few rounds.
_ROUNDS = 8
#: At least half of the ratios are within one standard deviation; a smaller fraction indicates two peaks.
_LEAST_SLOPE = 0.1


@dataclass(frozen=True, kw_only=True, slots=True)
class RobustRatio:
    """The robust estimates of one or more sessions.

    Attributes:
        log_ratio: the logarithm of head's time over base's, shape (sessions,).
        deviation: the standard deviation of one pair, shape (sessions,); infinite for a single pair. The standard error
            of `log_ratio` is `deviation / sqrt(count)`.
        count: the number of pairs of each session.
    """

    log_ratio: Array
    deviation: Array
    count: int


def robust_ratio(base: Array, head: Array) -> RobustRatio:
    """Estimate the logarithm of head's time over base's by Huber's mean.

    Args:
        base: logarithms of base's times, shape (sessions, pairs), at least one pair.
        head: logarithms of head's times, same shape and order.
    """
    differences = head - base
    location = np.median(differences, axis=-1, keepdims=True)
    scale = _scale(differences - location)
    for _ in range(_ROUNDS):
        shares = np.clip((differences - location) / scale, -1, 1)
        slope = np.maximum((np.abs(shares) < 1).mean(axis=-1, keepdims=True), _LEAST_SLOPE)
        location = location + scale * shares.mean(axis=-1, keepdims=True) / slope
    count = differences.shape[-1]
    spread = shares.std(axis=-1, keepdims=True, ddof=1) if count > 1 else np.full_like(location, np.inf)
    return RobustRatio(log_ratio=location[:, 0], deviation=(scale * spread / slope)[:, 0], count=count)


def logs_of(blocks: Sequence[PairedBlock]) -> Array:
    """Return the logarithms of times in nanoseconds, shape (pairs, 2): columns base and head, two pairs per block."""
    times = np.array([(block.base_ns, block.head_ns) for block in blocks], dtype=np.float64)
    logs: Array = np.log(times).swapaxes(1, 2).reshape(-1, 2)
    return logs


def _scale(distances: Array) -> Array:
    """Return a robust standard deviation; the plain one if most distances are equal, and 1 if all are equal."""
    robust = NORMAL_CONSISTENCY * np.median(np.abs(distances), axis=-1, keepdims=True)
    plain = distances.std(axis=-1, keepdims=True)
    scale: Array = np.where(robust > 0, robust, np.where(plain > 0, plain, 1.0))
    return scale
