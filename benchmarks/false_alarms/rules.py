"""Timing rules that decide from the same samples whether head is slower than base.

Sessions of the paired gate are drawn from the measured pairs of processes, each timed for as long as the gate does.
Every other rule judges the interleaved wall-clock times of one pair of processes, unmodified. A rule that compares with
a stored figure takes that figure from the base of another pair, as from an earlier session.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from benchmarks.false_alarms.measuring import Pair
from benchmarks.false_alarms.resampled import LEAST_PAIRS, drawn_log_ratios
from pytest_diffopt.guards.paired_latency import PairedRule
from pytest_diffopt.statistics.sequential import LOOKS, Decision

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


@dataclass(frozen=True, kw_only=True, slots=True)
class Shares:
    """Fractions of many sessions of one test with each result.

    Attributes:
        slower: fraction in which head was found slower.
        as_fast: fraction in which head was found not slower, or faster.
        median_seconds: median of the time that the test was timed.
    """

    slower: float
    as_fast: float
    median_seconds: float


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


def sessions_of(pairs: Sequence[Pair], *, number: int, seed: int) -> list[Session]:
    """Draw sessions: each is one pair of processes and the stored bases of others.

    Args:
        pairs: pairs of one slowdown, measured on one machine; the stored bases are the bases of others of them.
        number: number of sessions.
        seed: seed of the draw.
    """
    generator = np.random.default_rng(seed)
    drawn = []
    for _ in range(number if pairs else 0):
        pair = pairs[int(generator.integers(len(pairs)))]
        others = [one for one in pairs if one is not pair] or list(pairs)
        stored = (others[int(generator.integers(len(others)))] for _ in range(_STORED_SESSIONS))
        drawn.append(
            Session(
                base=_times(pair, head=False),
                head=_times(pair, head=True),
                stored=tuple(_times(one, head=False) for one in stored),
            )
        )
    return drawn


def paired_gate(pairs: Sequence[Pair], *, slowdown: float = 0.0, seconds: float, margin: float, number: int) -> Shares:
    """Return the shares of outcomes of our paired gate's sessions of one test; NaN with too few measured pairs.

    Args:
        pairs: pairs of one slowdown.
        slowdown: additional slowdown; head's times are multiplied by it.
        seconds: time budget of a session.
        margin: margin of the gate, as a fraction.
        number: number of sessions to draw.
    """
    if len(pairs) < LEAST_PAIRS:
        return Shares(slower=math.nan, as_fast=math.nan, median_seconds=math.nan)
    rule = PairedRule.for_case(margin=margin, num_cases=1, num_regressed=0).sequential
    pair_seconds = seconds / LOOKS[-1]
    ended = rule.run(drawn_log_ratios(pairs, seconds=pair_seconds, sessions=number) + math.log1p(slowdown))
    return Shares(
        slower=ended.fraction(Decision.SLOWER),
        as_fast=ended.fraction(Decision.NOT_SLOWER, Decision.FASTER),
        median_seconds=pair_seconds * float(np.median(ended.pairs)),
    )


def share(rule: Rule, sessions: Sequence[Session]) -> float:
    """Return the share of sessions in which a rule reports head slower; NaN without sessions."""
    return sum(map(rule, sessions)) / len(sessions) if sessions else math.nan


def _times(pair: Pair, *, head: bool) -> Array:
    """Return the interleaved times of one call, in nanoseconds."""
    blocks = pair.blocks_in_turn or pair.blocks
    return np.array([one for block in blocks for one in (block.head_ns if head else block.base_ns)]) / pair.repeats
