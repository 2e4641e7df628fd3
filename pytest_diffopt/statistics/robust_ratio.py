"""How many times as long head takes as base, from pairs of times on a machine that others use too.

Whatever else a machine does makes calls up to twice as slow, for tenths of a second at a time. A pair of times beside
each other is mostly hit as one; where only one of them is, its ratio is far off, and must not count as much.

Source: Huber, "Robust Estimation of a Location Parameter", Annals of Mathematical Statistics 35 (1964): a ratio that is
further off than one standard deviation counts as one that is just so far off. The mean keeps 90 % of what normal noise
lets it know.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pytest_diffopt.records import PairedBlock
from pytest_diffopt.statistics.intervals import NORMAL_CONSISTENCY

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Array = npt.NDArray[np.float64]

#: Newton's method hardly moves after a few rounds.
_ROUNDS = 8
#: Half of the ratios lie within less than a standard deviation; a smaller share is a distribution of two peaks.
_LEAST_SLOPE = 0.1


@dataclass(frozen=True, kw_only=True, slots=True)
class RobustRatio:
    """What the pairs of one or more sessions say.

    Attributes:
        log_ratio: the logarithm of how many times as long head takes, for each session.
        deviation: that of one pair, so that the standard error of `log_ratio` is this over the root of `count`;
            infinite for a single pair.
        count: how many pairs each session has.
    """

    log_ratio: "Array"
    deviation: "Array"
    count: int


def robust_ratio(base: "Array", head: "Array") -> RobustRatio:
    """Estimate how many times as long head takes as base.

    Args:
        base: logarithms of base's times, shape (sessions, pairs), at least one pair.
        head: of head's, in the same order.
    """
    import numpy as np  # noqa: PLC0415 - only who times in pairs waits for it

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


def logs_of(blocks: Sequence[PairedBlock]) -> "Array":
    """Return the logarithms of times in nanoseconds, shape (pairs, 2): base's beside head's, two pairs a block."""
    import numpy as np  # noqa: PLC0415 - as above

    times = np.array([(block.base_ns, block.head_ns) for block in blocks], dtype=np.float64)
    logs: Array = np.log(times).swapaxes(1, 2).reshape(-1, 2)
    return logs


def _scale(distances: "Array") -> "Array":
    """Return a robust standard deviation; the plain one where most distances are alike, and 1 where all are."""
    import numpy as np  # noqa: PLC0415 - as above

    robust = NORMAL_CONSISTENCY * np.median(np.abs(distances), axis=-1, keepdims=True)
    plain = distances.std(axis=-1, keepdims=True)
    scale: Array = np.where(robust > 0, robust, np.where(plain > 0, plain, 1.0))
    return scale
