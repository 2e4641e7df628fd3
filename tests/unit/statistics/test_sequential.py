"""A sequential rule decides with few blocks, and keeps its error rates."""

import numpy as np
import numpy.typing as npt
import pytest

from pytest_diffopt.statistics.robust_ratio import robust_ratio
from pytest_diffopt.statistics.sequential import Decision, SequentialRule, effective_processes, is_look, looks

Array = npt.NDArray[np.float64]
RULE = SequentialRule(margin=0.01, false_alarms=0.001)


def sessions(slowdown: float, *, noise: float = 0.02, number: int = 1, pairs: int = 400) -> tuple[Array, Array]:
    """Return log times of sessions in which head is slower by `slowdown`."""
    generator = np.random.default_rng(1)
    base, head = (generator.normal(0, noise / np.sqrt(2), (number, pairs)) for _ in range(2))
    return base, head + np.log1p(slowdown)


def _by_six(block: int, blocks: int) -> list[int]:
    """Distribute blocks over six pairs of processes, one pair after the other."""
    whole, rest = divmod(block, blocks // 6)
    return [blocks // 6] * whole + [rest]


def ended(slowdown: float, *, number: int = 300, blocks: int = 150) -> list[Decision]:
    """Return the decisions of sessions of six pairs of processes, judged at the gate's looks."""
    base, head = sessions(slowdown, number=number, pairs=2 * blocks)
    decisions = np.zeros(number, dtype=int)
    for block in looks(blocks):
        is_open = np.flatnonzero(decisions == Decision.OPEN)
        if not len(is_open):
            break
        chosen = base[is_open, : 2 * block], head[is_open, : 2 * block]
        decisions[is_open] = RULE.decide(*chosen, blocks_of_pairs=_by_six(block, blocks))
    return [Decision(int(one)) for one in decisions]


def test_equal_code_passes_and_a_slowdown_of_twice_the_margin_does_not() -> None:
    """Of 300 sessions none is wrong in the first case, and at most 10 are undecided in the second."""
    assert set(ended(0.0)) == {Decision.NOT_SLOWER}
    assert ended(0.02).count(Decision.SLOWER) >= 290


def test_half_of_the_margin_is_never_called_slower() -> None:
    """The bound on false alarms covers slowdowns up to half of the margin."""
    assert Decision.SLOWER not in ended(0.005)


def test_faster_code_is_not_slower() -> None:
    """The result is faster only if that is decided before not slower."""
    assert set(ended(-0.02)) <= {Decision.NOT_SLOWER, Decision.FASTER}


@pytest.mark.parametrize(
    ("slowdown", "pairs", "decision"),
    [
        (0.0, 1, Decision.NOT_SLOWER),
        (0.1, 1, Decision.OPEN),
        (0.1, 2, Decision.SLOWER),
        (-0.1, 2, Decision.FASTER),
        (0.015, 2, Decision.OPEN),
        (0.015, 4, Decision.SLOWER),
        (0.011, 4, Decision.OPEN),
    ],
)
def test_more_pairs_of_processes_detect_smaller_slowdowns(slowdown: float, pairs: int, decision: Decision) -> None:
    """Two processes of the same code differ by half a percent, so one pair can only show that head is as fast."""
    assert RULE.decide(*sessions(slowdown, noise=0.005), blocks_of_pairs=[200 // pairs] * pairs)[0] == decision


@pytest.mark.parametrize(
    ("pairs", "decision"),
    [
        pytest.param([(100, 0.5)], Decision.OPEN, id="one pair"),
        pytest.param([(100, 0.5), (100, 0.0)], Decision.OPEN, id="one of two"),
        pytest.param([(160, 0.5), (40, 0.5)], Decision.OPEN, id="the second has hardly begun"),
        pytest.param([(100, 0.5), (60, 0.5)], Decision.SLOWER, id="both"),
        pytest.param([(160, 0.5), (20, 0.5), (20, 0.5)], Decision.SLOWER, id="a busy machine slows the others"),
        pytest.param([(100, 0.5), (70, 0.0), (100, 0.5)], Decision.SLOWER, id="two of three"),
    ],
)
def test_one_outlier_pair_decides_nothing(pairs: list[tuple[int, float]], decision: Decision) -> None:
    """Its autotuning may have failed: at least two pairs, and a majority, must agree."""
    slower = np.concatenate([np.full(2 * blocks, offset) for blocks, offset in pairs])
    base, head = sessions(0.0, pairs=len(slower))

    assert RULE.decide(base, head + slower, blocks_of_pairs=[blocks for blocks, _ in pairs])[0] == decision


def test_few_and_noisy_pairs_stay_open() -> None:
    """The half width that is needed to decide is known on both sides of the margin."""
    assert RULE.decide(*sessions(0.02, noise=0.2, pairs=20), blocks_of_pairs=[5, 5])[0] == Decision.OPEN
    assert RULE.distance_to_decide(0.02) == pytest.approx((np.sqrt((0.02 - np.log(1.005)) ** 2 - 0.0063079**2), 0.998))
    assert RULE.distance_to_decide(0.0) == pytest.approx((np.sqrt(np.log(1.015) ** 2 - 0.0047486**2), 0.98))


def test_few_equal_times_bound_nothing() -> None:
    """A coarse clock may return the same time repeatedly."""
    times = np.zeros((1, 4))

    assert np.isinf(RULE.half_width(robust_ratio(times, times), 1)).all()
    assert RULE.decide(times, times, blocks_of_pairs=[2])[0] == Decision.OPEN


def test_slowdown_within_the_process_deviation_stays_open() -> None:
    """A slowdown of 0.4 % against a margin of 0.3 % cannot be decided by any number of times."""
    rule = SequentialRule(margin=0.003, false_alarms=0.001)

    assert rule.decide(*sessions(0.004, noise=0.001), blocks_of_pairs=[34] * 5 + [30])[0] == Decision.OPEN
    assert rule.distance_to_decide(0.004) == (0.0, 0.998)


@pytest.mark.parametrize(
    ("blocks", "processes"), [((), 1), ((0,), 1), ((38,), 1), ((38, 38), 2), ((38, 0), 1), ((38, 19), 1.8)]
)
def test_effective_number_of_pairs_is_weighted_by_blocks(blocks: tuple[int, ...], processes: float) -> None:
    """A pair that has just begun adds almost no information about the difference between processes."""
    assert effective_processes(blocks) == pytest.approx(processes)


def test_looks_become_less_frequent() -> None:
    """The first look is after four blocks, the last after all blocks; `is_look` agrees in a running session."""
    assert list(looks(20)) == [4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 16, 17, 19, 20]
    assert [block for block in range(100) if is_look(block)] == list(looks(100))[:-1]
