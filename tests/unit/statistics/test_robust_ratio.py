"""The ratio of one pair of processes is estimated correctly despite other load on the machine."""

import math

import numpy as np
import numpy.typing as npt
import pytest

from pytest_diffopt.records import PairedBlock
from pytest_diffopt.statistics.robust_ratio import log_ratios_of, logs_of, median_log_ratio, noise_of_pair

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


def block(head: float, *, other: float = 1.0) -> PairedBlock:
    """Return a block whose two ratios of head to base are these."""
    return PairedBlock(base_ns=(1000, 1000), head_ns=(round(1000 * head), round(1000 * other)))


def test_equal_code_has_a_ratio_of_one() -> None:
    """The mean of many sessions shows no difference, however often other load slows one side."""
    for bursts in (0.0, 0.1, 0.3):
        assert abs(median_log_ratio(*times(bursts=bursts)).mean()) < 0.0005


@pytest.mark.parametrize("slowdown", [-0.05, 0.02, 0.1, 1.0])
def test_a_slowdown_is_estimated_without_bias(slowdown: float) -> None:
    """At any size, also if it exceeds the effect of other load."""
    assert median_log_ratio(*times(slowdown=slowdown, bursts=0.1)).mean() == pytest.approx(slowdown, abs=0.001)


def test_load_on_a_tenth_of_the_calls_adds_little_spread() -> None:
    """The spread of the plain mean is five times as large."""
    base, head = times(bursts=0.1)

    assert median_log_ratio(base, head).std() < (head - base).mean(axis=1).std() / 5


def test_each_pair_of_processes_has_one_ratio() -> None:
    """A pair whose blocks were all throttled has none."""
    blocks = [block(2.0, other=2.0), block(3.0, other=3.0), block(4.0, other=4.0), block(1.5, other=1.5)]

    assert log_ratios_of(blocks, blocks_of_pairs=(3, 0, 1)) == pytest.approx([math.log(3), math.log(1.5)])


def test_the_times_of_a_block_make_two_pairs() -> None:
    """The first times of base and head are a pair, and so are the second ones."""
    one = PairedBlock(base_ns=(1, 2), head_ns=(3, 4))

    assert logs_of([one]).ravel() == pytest.approx([0, math.log(3), math.log(2), math.log(4)])


def test_the_noise_of_a_pair_is_the_spread_of_its_median() -> None:
    """For independent times; the standard error of 200 medians of 100 ratios is found from their times alone."""
    generator = np.random.default_rng(0)
    ratios = np.exp(generator.normal(0, 0.02, (200, 50, 2)))
    blocks = [
        PairedBlock(base_ns=(10**9, 10**9), head_ns=(round(1e9 * one), round(1e9 * other)))
        for one, other in ratios.reshape(-1, 2)
    ]
    medians = log_ratios_of(blocks, blocks_of_pairs=(50,) * 200)

    assert noise_of_pair(blocks, blocks_of_pairs=(50,) * 200) == pytest.approx(np.std(medians), rel=0.1)
