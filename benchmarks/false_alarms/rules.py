"""Timing rules that decide from the same samples whether head is slower than base.

Sessions of the paired gate are drawn from as many pairs of processes as the gate starts, in runs of consecutive blocks.
Every other rule judges the interleaved wall-clock times of one pair of processes, unmodified. A rule that compares with
a stored figure takes that figure from the base of another pair, as from an earlier session.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from benchmarks.false_alarms.measuring import Pair
from pytest_diffopt.guards.paired_latency import FALSE_ALARMS
from pytest_diffopt.records import Device
from pytest_diffopt.statistics.resampling import ResampledSessions, Shares
from pytest_diffopt.statistics.sequential import SequentialRule, between_process_deviation

_STORED_SAMPLES = 30
_STORED_SESSIONS = 3
Array = np.ndarray[tuple[int, ...], np.dtype[np.float64]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Session:
    """Times of one call in one session, in nanoseconds.

    Attributes:
        base: times of base, interleaved with head.
        head: times of head.
        stored: times of base in each of the earlier sessions.
    """

    base: Array
    head: Array
    stored: tuple[Array, ...]


Rule = Callable[[Session], bool]


def stored_gate(session: Session) -> bool:
    """Apply our stored gate: the median exceeds the median of earlier sessions' medians by 5 % and by 1 ms."""
    accepted = float(np.median([np.median(one[:_STORED_SAMPLES]) for one in session.stored]))
    return float(np.median(session.head[:_STORED_SAMPLES])) > accepted + max(0.05 * accepted, 1e6)


def pytest_benchmark(threshold: float) -> Rule:
    """Return pytest-benchmark's `--benchmark-compare-fail=median:N%`, which uses one stored median."""

    def is_slower(session: Session) -> bool:
        return float(np.median(session.head)) > float(np.median(session.stored[0])) * (1 + threshold)

    return is_slower


def asv(session: Session) -> bool:
    """Apply asv's rule, Mann-Whitney p < 0.002 and a factor of 1.1, to interleaved samples."""
    differs = stats.mannwhitneyu(session.base, session.head).pvalue < 0.002  # noqa: PLR2004 - asv's own figure
    return bool(differs and np.median(session.head) > 1.1 * np.median(session.base))


def t_test(session: Session) -> bool:
    """Apply a Welch t-test at 5 % to interleaved samples."""
    return bool(stats.ttest_ind(session.head, session.base, equal_var=False, alternative="greater").pvalue < 0.05)  # noqa: PLR2004 - the usual figure


def sessions_of(pairs: Sequence[Pair], bases: Sequence[Pair], *, number: int, seed: int) -> list[Session]:
    """Draw sessions: each is one pair of processes and the stored bases of others.

    Args:
        pairs: pairs of one slowdown.
        bases: pairs from which stored bases are drawn.
        number: number of sessions.
        seed: seed of the draw.
    """
    generator = np.random.default_rng(seed)
    drawn = []
    for _ in range(number if pairs else 0):
        pair = pairs[int(generator.integers(len(pairs)))]
        others = [one for one in bases if one is not pair] or list(bases)
        stored = (others[int(generator.integers(len(others)))] for _ in range(_STORED_SESSIONS))
        drawn.append(
            Session(
                base=_times(pair, head=False),
                head=_times(pair, head=True),
                stored=tuple(_times(one, head=False) for one in stored),
            )
        )
    return drawn


def paired_gate(  # noqa: PLR0913 - the gate's parameters and the draw's
    pairs: Sequence[Pair],
    *,
    slowdown: float = 0.0,
    seconds: float,
    margin: float,
    number: int,
    device: Device = Device.CPU,
) -> Shares:
    """Return the shares of outcomes of our paired gate's sessions; NaN without measured pairs.

    Args:
        pairs: pairs of one slowdown.
        slowdown: additional slowdown; head's times are multiplied by it.
        seconds: time budget of a session.
        margin: margin of the gate, as a fraction.
        number: number of sessions to draw.
        device: device on which the pairs were timed.
    """
    if not pairs:
        return Shares(slower=math.nan, as_fast=math.nan, mean_count=math.nan)
    apart = between_process_deviation(pairs[0].timing, device)
    rule = SequentialRule(margin=margin, false_alarms=FALSE_ALARMS, between_process_deviation=apart)
    blocks = [pair.blocks for pair in pairs]
    drawn = ResampledSessions.drawn_from(blocks, count=blocks_in(pairs, seconds=seconds), sessions=number)
    return drawn.shares(rule, slowdown=slowdown)


def blocks_in(pairs: Sequence[Pair], *, seconds: float) -> int:
    """Return how many blocks the paired gate times in a number of seconds."""
    return round(seconds * sum(len(pair.blocks) for pair in pairs) / sum(pair.seconds for pair in pairs))


def share(rule: Rule, sessions: Sequence[Session]) -> float:
    """Return the share of sessions in which a rule reports head slower; NaN without sessions."""
    return sum(map(rule, sessions)) / len(sessions) if sessions else math.nan


def _times(pair: Pair, *, head: bool) -> Array:
    """Return the interleaved times of one call, in nanoseconds."""
    blocks = pair.blocks_in_turn or pair.blocks
    return np.array([one for block in blocks for one in (block.head_ns if head else block.base_ns)]) / pair.repeats
