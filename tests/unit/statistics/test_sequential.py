"""A session ends when enough is known, and errs as seldom as it says."""

import numpy as np
import numpy.typing as npt
import pytest

from pytest_diffopt.statistics.robust_ratio import robust_ratio
from pytest_diffopt.statistics.sequential import Decision, SequentialRule, as_many_processes, is_look, looks

Array = npt.NDArray[np.float64]
RULE = SequentialRule(margin=0.01, false_alarms=0.001)


def sessions(slowdown: float, *, noise: float = 0.02, number: int = 1, pairs: int = 400) -> tuple[Array, Array]:
    """Pretend that head takes so much longer."""
    generator = np.random.default_rng(1)
    base, head = (generator.normal(0, noise / np.sqrt(2), (number, pairs)) for _ in range(2))
    return base, head + np.log1p(slowdown)


def _by_six(block: int, blocks: int) -> list[int]:
    """Share blocks out to six pairs of processes, one after the other."""
    whole, rest = divmod(block, blocks // 6)
    return [blocks // 6] * whole + [rest]


def ended(slowdown: float, *, number: int = 300, blocks: int = 150) -> list[Decision]:
    """Let sessions run, looked at as the gate does, by six pairs of processes."""
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
    """Of 300 sessions none errs in the first case, and hardly any in the second."""
    assert set(ended(0.0)) == {Decision.NOT_SLOWER}
    assert ended(0.02).count(Decision.SLOWER) >= 290


def test_half_of_the_margin_is_never_called_slower() -> None:
    """That is what the bound on false alarms is about."""
    assert Decision.SLOWER not in ended(0.005)


def test_faster_code_is_not_slower() -> None:
    """It is told to be faster only where that is clear before it is known not to be slower."""
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
def test_more_pairs_of_processes_tell_smaller_slowdowns(slowdown: float, pairs: int, decision: Decision) -> None:
    """Two processes of the same code differ by half a percent; one pair shows that head is as fast, and no more."""
    assert RULE.decide(*sessions(slowdown, noise=0.005), blocks_of_pairs=[200 // pairs] * pairs)[0] == decision


@pytest.mark.parametrize(
    ("pairs", "decision"),
    [
        pytest.param([(100, 0.5)], Decision.OPEN, id="one pair"),
        pytest.param([(100, 0.5), (100, 0.0)], Decision.OPEN, id="one of two"),
        pytest.param([(160, 0.5), (40, 0.5)], Decision.OPEN, id="the other has hardly begun"),
        pytest.param([(100, 0.5), (60, 0.5)], Decision.SLOWER, id="both"),
        pytest.param([(160, 0.5), (20, 0.5), (20, 0.5)], Decision.SLOWER, id="a busy machine times the others seldom"),
        pytest.param([(100, 0.5), (70, 0.0), (100, 0.5)], Decision.SLOWER, id="two of three"),
    ],
)
def test_one_process_that_is_far_off_is_not_believed(pairs: list[tuple[int, float]], decision: Decision) -> None:
    """Something in it may have tuned itself badly: another pair must say the same, and most must."""
    slower = np.concatenate([np.full(2 * blocks, offset) for blocks, offset in pairs])
    base, head = sessions(0.0, pairs=len(slower))

    assert RULE.decide(base, head + slower, blocks_of_pairs=[blocks for blocks, _ in pairs])[0] == decision


def test_few_and_noisy_pairs_leave_it_open() -> None:
    """Nothing is known yet, and how narrow the interval must get is told for either side of the margin."""
    assert RULE.decide(*sessions(0.02, noise=0.2, pairs=20), blocks_of_pairs=[5, 5])[0] == Decision.OPEN
    assert RULE.distance_to_decide(0.02) == pytest.approx((np.sqrt((0.02 - np.log(1.005)) ** 2 - 0.0063079**2), 0.998))
    assert RULE.distance_to_decide(0.0) == pytest.approx((np.sqrt(np.log(1.015) ** 2 - 0.0047486**2), 0.98))


def test_few_times_that_do_not_differ_at_all_bound_nothing() -> None:
    """A clock that ticks seldom may say the same again and again."""
    times = np.zeros((1, 4))

    assert np.isinf(RULE.half_width(robust_ratio(times, times), 1)).all()
    assert RULE.decide(times, times, blocks_of_pairs=[2])[0] == Decision.OPEN


def test_what_processes_differ_by_is_decided_by_no_number_of_times() -> None:
    """A slowdown of a third of a percent is within that, however long it is looked at."""
    rule = SequentialRule(margin=0.003, false_alarms=0.001)

    assert rule.decide(*sessions(0.004, noise=0.001), blocks_of_pairs=[34] * 5 + [30])[0] == Decision.OPEN
    assert rule.distance_to_decide(0.004) == (0.0, 0.998)


@pytest.mark.parametrize(
    ("blocks", "processes"), [((), 1), ((0,), 1), ((38,), 1), ((38, 38), 2), ((38, 0), 1), ((38, 19), 1.8)]
)
def test_pairs_of_processes_count_by_what_they_timed(blocks: tuple[int, ...], processes: float) -> None:
    """One that has just begun tells next to nothing about how much processes differ."""
    assert as_many_processes(blocks) == pytest.approx(processes)


def test_looks_become_rarer() -> None:
    """The first four blocks say nothing, the last is always looked at, and a running session looks at the same."""
    assert list(looks(20)) == [4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 16, 17, 19, 20]
    assert [block for block in range(100) if is_look(block)] == list(looks(100))[:-1]
