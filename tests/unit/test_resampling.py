"""Sessions drawn from measured values end as sessions of such values do."""

import math
import random

from pytest_diffopt.resampling import sequential_shares
from pytest_diffopt.statistics import anytime_bound

CONFIDENCE = 0.999


def measured(deviation: float, *, number: int = 150, seed: int = 0) -> list[float]:
    """Draw values around 0."""
    die = random.Random(seed)  # noqa: S311 - no secret
    return [die.gauss(0, deviation) for _ in range(number)]


def shares(values: list[list[float]], *, shift: float = 0.0, count: int = 150) -> tuple[float, float]:
    """Return how many sessions ended above 1 %, and how many below."""
    drawn = sequential_shares(
        values, shift=shift, limit=math.log(1.01), count=count, confidence=CONFIDENCE, sessions=300
    )
    return drawn.above, drawn.below


def test_the_same_code_is_never_above_and_mostly_below() -> None:
    """With a spread of 2 % and 150 values the question is settled, and rightly."""
    above, below = shares([measured(0.02)])

    assert above == 0
    assert below > 0.9


def test_what_is_added_is_seen() -> None:
    """A slowdown of 3 % is past a margin of 1 %; one that is too small for so few values is not."""
    assert shares([measured(0.02)], shift=0.03)[0] > 0.95
    assert shares([measured(0.02)], shift=0.03, count=10) == (0, 0)


def test_two_processes_that_differ_are_not_averaged() -> None:
    """Each session is drawn from one pair: where one of two pairs is 3 % off, about half of the sessions say so."""
    above, below = shares([measured(0.01), [value + 0.03 for value in measured(0.01)]])

    assert 0.4 < above < 0.6
    assert 0.4 < below < 0.6


def test_it_decides_as_the_gates_own_bound_does() -> None:
    """Of values that are all alike but for two, drawn in whole, the bound of every prefix is that of the statistics."""
    values = [0.02, 0.03] * 4
    drawn = sequential_shares([values], shift=0.0, limit=0.01, count=32, confidence=CONFIDENCE, sessions=50)
    whole = values * 4
    needed = next(count for count in range(2, 33) if anytime_bound(whole[:count], confidence=CONFIDENCE).low > 0.01)

    assert drawn.above == 1
    assert abs(drawn.mean_count - needed) <= 1
