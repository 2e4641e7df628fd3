"""The ratio of two codes is seen through what neighbours add, and nothing is made of equal code."""

import numpy as np
import numpy.typing as npt
import pytest

from pytest_diffopt.statistics.robust_ratio import robust_ratio

Array = npt.NDArray[np.float64]


def times(*, slowdown: float = 0.0, bursts: float = 0.0, sessions: int = 200, pairs: int = 300) -> tuple[Array, Array]:
    """Pretend that calls of 1 % noise are slowed down by up to 60 %, each by itself, in a share of the time."""
    generator = np.random.default_rng(0)
    shape = (sessions, pairs)

    def side() -> Array:
        neighbours: Array = (generator.random(shape) < bursts) * generator.uniform(0, 0.6, shape)
        noise: Array = generator.normal(0, 0.01, shape)
        return noise + neighbours

    return side(), side() + slowdown


def test_equal_code_is_equal() -> None:
    """However often neighbours slow one of them down, the middle of many sessions is no difference."""
    for bursts in (0.0, 0.1, 0.3):
        assert abs(robust_ratio(*times(bursts=bursts)).log_ratio.mean()) < 0.0005


@pytest.mark.parametrize("slowdown", [-0.05, 0.02, 0.1, 1.0])
def test_a_slowdown_is_seen_whole(slowdown: float) -> None:
    """Its size does not matter, also where it is larger than what neighbours add."""
    seen = robust_ratio(*times(slowdown=slowdown, bursts=0.1)).log_ratio

    assert seen.mean() == pytest.approx(slowdown, abs=0.001)


def test_neighbours_that_slow_a_tenth_of_the_calls_cost_little() -> None:
    """The plain mean scatters five times as much."""
    base, head = times(bursts=0.1)
    ours, plain = robust_ratio(base, head).log_ratio.std(), (head - base).mean(axis=1).std()

    assert ours < plain / 5


def test_the_standard_error_is_what_sessions_scatter_by() -> None:
    """What one session says of its own doubt is what two hundred sessions show, in quiet and among neighbours."""
    for bursts in (0.0, 0.3):
        seen = robust_ratio(*times(bursts=bursts))
        claimed = seen.deviation.mean() / np.sqrt(seen.count)

        assert claimed == pytest.approx(seen.log_ratio.std(), rel=0.15)


def test_one_pair_has_no_spread() -> None:
    """Its ratio is known, its doubt is not."""
    seen = robust_ratio(np.zeros((1, 1)), np.full((1, 1), 0.25))

    assert (seen.log_ratio[0], seen.deviation[0], seen.count) == (0.25, np.inf, 1)


def test_pairs_that_do_not_differ_have_no_spread() -> None:
    """Clocks can be coarse: equal differences are no error."""
    seen = robust_ratio(np.zeros((1, 20)), np.full((1, 20), 0.25))

    assert (seen.log_ratio[0], seen.deviation[0]) == (0.25, 0)
