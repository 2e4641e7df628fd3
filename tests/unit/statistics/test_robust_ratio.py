"""The ratio of two versions is estimated correctly despite other load on the machine."""

import numpy as np
import numpy.typing as npt
import pytest

from pytest_diffopt.statistics.robust_ratio import robust_ratio

Array = npt.NDArray[np.float64]


def times(*, slowdown: float = 0.0, bursts: float = 0.0, sessions: int = 200, pairs: int = 300) -> tuple[Array, Array]:
    """Return log times with 1 % noise, a fraction `bursts` of which is slower by up to 60 %, independently."""
    generator = np.random.default_rng(0)
    shape = (sessions, pairs)

    def side() -> Array:
        other_load: Array = (generator.random(shape) < bursts) * generator.uniform(0, 0.6, shape)
        noise: Array = generator.normal(0, 0.01, shape)
        return noise + other_load

    return side(), side() + slowdown


def test_equal_code_has_a_ratio_of_one() -> None:
    """The mean of many sessions shows no difference, however often other load slows one side."""
    for bursts in (0.0, 0.1, 0.3):
        assert abs(robust_ratio(*times(bursts=bursts)).log_ratio.mean()) < 0.0005


@pytest.mark.parametrize("slowdown", [-0.05, 0.02, 0.1, 1.0])
def test_a_slowdown_is_estimated_without_bias(slowdown: float) -> None:
    """At any size, also if it exceeds the effect of other load."""
    seen = robust_ratio(*times(slowdown=slowdown, bursts=0.1)).log_ratio

    assert seen.mean() == pytest.approx(slowdown, abs=0.001)


def test_load_on_a_tenth_of_the_calls_adds_little_spread() -> None:
    """The spread of the plain mean is five times as large."""
    base, head = times(bursts=0.1)
    robust, plain = robust_ratio(base, head).log_ratio.std(), (head - base).mean(axis=1).std()

    assert robust < plain / 5


def test_the_standard_error_is_the_spread_of_sessions() -> None:
    """The standard error of one session equals the spread of two hundred, with and without other load."""
    for bursts in (0.0, 0.3):
        seen = robust_ratio(*times(bursts=bursts))
        standard_error = seen.deviation.mean() / np.sqrt(seen.count)

        assert standard_error == pytest.approx(seen.log_ratio.std(), rel=0.15)


def test_one_pair_has_no_spread() -> None:
    """Its ratio is known, its spread is infinite."""
    seen = robust_ratio(np.zeros((1, 1)), np.full((1, 1), 0.25))

    assert (seen.log_ratio[0], seen.deviation[0], seen.count) == (0.25, np.inf, 1)


def test_equal_pairs_have_a_spread_of_zero() -> None:
    """A coarse clock can give equal differences, which is not an error."""
    seen = robust_ratio(np.zeros((1, 20)), np.full((1, 20), 0.25))

    assert (seen.log_ratio[0], seen.deviation[0]) == (0.25, 0)
