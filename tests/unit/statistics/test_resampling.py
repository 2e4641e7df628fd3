"""Resampled sessions have the same results as sessions with such blocks."""

import math
import random

import pytest

from pytest_diffopt.records import PairedBlock
from pytest_diffopt.statistics.resampling import ResampledSessions
from pytest_diffopt.statistics.robust_ratio import logs_of
from pytest_diffopt.statistics.sequential import SequentialRule

RULE = SequentialRule(margin=0.01, false_alarms=0.001)
MS = 1_000_000


def measured(deviation: float, *, offset: float = 0.0, number: int = 100, seed: int = 0) -> list[PairedBlock]:
    """Return blocks of a pair of processes whose head is slower by `offset`."""
    noise = random.Random(seed)  # noqa: S311 - no secret

    def time(offset: float = 0.0) -> int:
        return round(80 * MS * math.exp(noise.gauss(offset, deviation / math.sqrt(2))))

    return [PairedBlock(base_ns=(time(), time()), head_ns=(time(offset), time(offset))) for _ in range(number)]


def shares(values: list[list[PairedBlock]], *, slowdown: float = 0.0, count: int = 150) -> tuple[float, float]:
    """Return the fractions of sessions that were called slower and as fast."""
    judged = ResampledSessions.drawn_from(values, count=count, sessions=200).shares(RULE, slowdown=slowdown)
    return judged.slower, judged.as_fast


def test_same_code_is_never_slower_and_mostly_as_fast() -> None:
    """With a spread of 2 % and 150 blocks nearly all sessions are decided, and correctly."""
    slower, as_fast = shares([measured(0.02)])

    assert slower == 0
    assert as_fast > 0.95


def test_injected_slowdown_is_detected() -> None:
    """A slowdown of 3 % exceeds a margin of 1 %; with five blocks no session is decided."""
    assert shares([measured(0.02)], slowdown=0.03)[0] > 0.95
    assert shares([measured(0.02)], slowdown=0.03, count=5) == (0, 0)


def test_a_session_is_drawn_from_several_pairs_of_processes() -> None:
    """One outlier of three pairs is mostly outvoted; if all pairs are slower, head is slower."""
    alike, off = [measured(0.01, seed=seed) for seed in range(2)], measured(0.01, offset=0.015, seed=2)

    assert shares([*alike, off])[0] < 0.15
    assert shares([off])[0] > 0.95


def test_the_times_of_a_block_make_two_pairs() -> None:
    """The first times of base and head are a pair, and so are the second ones."""
    block = PairedBlock(base_ns=(1, 2), head_ns=(3, 4))

    assert logs_of([block]).ravel() == pytest.approx([0, math.log(3), math.log(2), math.log(4)])
