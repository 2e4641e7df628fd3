"""Base and head are timed in random order, until it is clear or the time is over."""

from collections.abc import Callable, Sequence

import pytest

from pytest_diffopt.paired.sampling import PairedSamples, SamplingPlan, repeats_for, sample_blocks
from pytest_diffopt.paired.time_blocks import in_turn
from pytest_diffopt.records import GPUReading, PairedBlock, PairedTiming, Slowdown

MS = 1_000_000


class Machine:
    """Two workers whose calls take what they are told; the clock moves with them."""

    def __init__(self) -> None:
        """Begin at 0."""
        self.seconds = 0.0
        self.order = ""

    def clock(self) -> float:
        """Return the time."""
        return self.seconds

    def worker(self, letter: str, milliseconds: int) -> Callable[[], int]:
        """Return a worker."""

        def time_calls() -> int:
            self.order += letter
            self.seconds += milliseconds / 1000
            return milliseconds * MS

        return time_calls


def sample(
    is_decided: Callable[[Sequence[PairedBlock]], bool] = lambda _blocks: False, *, seconds: float = 4.0, seed: int = 0
) -> tuple[PairedSamples, Machine]:
    """Sample 200 ms against 220 ms."""
    machine = Machine()
    time_block = in_turn(machine.worker("b", 200), machine.worker("h", 220))
    plan = SamplingPlan(timing=PairedTiming.INTERLEAVED, repeats=2, max_seconds=seconds, seed=seed)
    samples = sample_blocks(time_block, plan, is_decided=is_decided, clock=machine.clock)
    return samples, machine


def test_blocks_are_of_random_order() -> None:
    """Both orders occur, and the seed repeats them."""
    samples, machine = sample()
    _, again = sample()
    _, other = sample(seed=1)
    blocks = {machine.order[start : start + 4] for start in range(0, len(machine.order), 4)}

    assert blocks == {"bhhb", "hbbh"}
    assert machine.order == again.order != other.order
    assert set(samples.blocks) == {PairedBlock(base_ns=(200 * MS, 200 * MS), head_ns=(220 * MS, 220 * MS))}


def test_the_budget_ends_it() -> None:
    """No block begins after the budget; one takes 0.84 s."""
    samples, _ = sample(seconds=4.0)

    assert len(samples.blocks) == 5
    assert samples.spent_seconds == pytest.approx(4.2)


def test_it_ends_as_soon_as_it_is_decided() -> None:
    """What is clear takes no more time."""
    samples, _ = sample(lambda blocks: len(blocks) == 3)

    assert len(samples.blocks) == 3


def test_blocks_of_a_throttled_gpu_do_not_count() -> None:
    """They are kept apart, and the readings are kept."""
    readings = [GPUReading(), GPUReading(slowdowns=(Slowdown.HARDWARE,)), *[GPUReading()] * 9]

    class Meter:
        unreadable = ()

        def read(self) -> GPUReading:
            return readings.pop(0)

    machine = Machine()
    samples = sample_blocks(
        in_turn(machine.worker("b", 100), machine.worker("h", 100)),
        SamplingPlan(timing=PairedTiming.INTERLEAVED, repeats=1, max_seconds=1.5),
        is_decided=lambda _blocks: False,
        meter=Meter(),
        clock=machine.clock,
    )

    assert (len(samples.throttled), len(samples.blocks)) == (2, 2)
    assert samples.gpu is not None
    assert len(samples.gpu.readings) == 5


@pytest.mark.parametrize(("base_ms", "head_ms", "repeats"), [(1, 1, 30), (1, 15, 2), (500, 400, 1), (0.5, 0.4, 60)])
def test_short_calls_are_timed_several_at_once(base_ms: float, head_ms: float, repeats: int) -> None:
    """About 30 ms of the slower side; what compiled before does not matter."""
    assert repeats_for([9_000 * MS, *[int(base_ms * MS)] * 3], [int(head_ms * MS)] * 4) == repeats
