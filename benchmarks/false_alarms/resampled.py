"""Draw sessions of the paired gate from measured pairs of processes."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from benchmarks.false_alarms.measuring import Pair
from pytest_diffopt.records import PairedBlock
from pytest_diffopt.statistics.robust_ratio import PAIRS_OF_TIMES, logs_of, median_log_ratio
from pytest_diffopt.statistics.sequential import LOOKS

Array = npt.NDArray[np.float64]

#: The smallest number of measured pairs of processes from which sessions are drawn. Each session draws 30 of them with
#: replacement; from few pairs it would draw the same ones repeatedly, and they would differ less than real ones.
LEAST_PAIRS = 40


def drawn_log_ratios(pairs: Sequence[Pair], *, seconds: float, sessions: int, seed: int = 0) -> Array:
    """Return the gate's log-ratio of each pair of processes, shape (sessions, pairs of processes of a session).

    Each is the median of consecutive blocks of one measured pair, from a random block on. The roles of base and head
    are exchanged at random if both ran the same code, because neither is special.

    Args:
        pairs: the measured pairs of one slowdown.
        seconds: how long the gate times each pair of processes.
        sessions: the number of sessions.
        seed: the seed of the draw.
    """
    generator = np.random.default_rng(seed)
    count = max(1, round(seconds * sum(len(one.blocks) for one in pairs) / sum(one.seconds for one in pairs)))
    windows = [_windows(one.blocks, count) for one in pairs]
    chosen = generator.integers(len(pairs), size=(sessions, LOOKS[-1]))
    lengths = np.array([len(one) for one in windows])
    starts = (generator.random(chosen.shape) * lengths[chosen]).astype(int)
    offsets = np.concatenate([[0], np.cumsum(lengths)[:-1]])
    drawn: Array = np.concatenate(windows)[offsets[chosen] + starts]
    return drawn if pairs[0].slowdown else drawn * generator.choice([-1.0, 1.0], drawn.shape)


def log_ratio_of(pair: Pair, *, seconds: float) -> float:
    """Return the log-ratio of a measured pair from its first blocks, as the gate would have seen it."""
    count = max(1, round(seconds * len(pair.blocks) / pair.seconds))
    return float(_windows(pair.blocks[:count], count)[0])


def _windows(blocks: Sequence[PairedBlock], count: int) -> Array:
    """Return the median log-ratio of each run of this many consecutive blocks, or of all if there are fewer."""
    logs = logs_of(blocks)
    size = PAIRS_OF_TIMES * min(count, len(blocks))
    views = np.lib.stride_tricks.sliding_window_view(logs, size, axis=0)[::PAIRS_OF_TIMES]
    return median_log_ratio(views[:, 0], views[:, 1])
