"""Base and head are timed in random order, until the time budget ends."""

from collections.abc import Callable

import pytest

from pytest_diffopt.paired.sampling import PairedSamples, SamplingPlan, repeats_for, sample_blocks
from pytest_diffopt.paired.time_blocks import interleaved
from pytest_diffopt.records import GPUReading, PairedBlock, PairedTiming, Slowdown

MS = 1_000_000


class Machine:
    """Two workers whose calls take given times; they advance the clock."""

    def __init__(self) -> None:
        """Start at 0 s."""
        self.seconds = 0.0
        self.order = ""

    def clock(self) -> float:
        """Return the time in seconds."""
        return self.seconds

    def worker(self, letter: str, milliseconds: int) -> Callable[[], int]:
        """Return a worker whose calls take this long."""

        def time_calls() -> int:
            self.order += letter
            self.seconds += milliseconds / 1000
            return milliseconds * MS

        return time_calls


def sample(*, seconds: float = 4.0, seed: int = 0) -> tuple[PairedSamples, Machine]:
    """Sample 200 ms against 220 ms."""
    machine = Machine()
    time_block = interleaved(machine.worker("b", 200), machine.worker("h", 220))
    plan = SamplingPlan(timing=PairedTiming.INTERLEAVED, repeats=2, max_seconds=seconds, seed=seed)
    samples = sample_blocks(time_block, plan, clock=machine.clock)
    return samples, machine


def test_blocks_have_random_order() -> None:
    """Both orders occur, and the same seed repeats them."""
    samples, machine = sample()
    _, again = sample()
    _, other = sample(seed=1)
    blocks = {machine.order[start : start + 4] for start in range(0, len(machine.order), 4)}

    assert blocks == {"bhhb", "hbbh"}
    assert machine.order == again.order != other.order
    assert set(samples.blocks) == {PairedBlock(base_ns=(200 * MS, 200 * MS), head_ns=(220 * MS, 220 * MS))}


def test_budget_ends_sampling() -> None:
    """No block of 0.84 s begins after the budget of 4 s."""
    samples, _ = sample(seconds=4.0)

    assert len(samples.blocks) == 5
    assert samples.spent_seconds == pytest.approx(4.2)


def test_the_smallest_budget_times_one_block() -> None:
    """A pair of processes that was started is used."""
    samples, _ = sample(seconds=0.001)

    assert len(samples.blocks) == 1


def test_blocks_of_a_throttled_gpu_do_not_count() -> None:
    """They are kept separately, with the readings."""
    readings = [GPUReading(), GPUReading(slowdowns=(Slowdown.HARDWARE,)), *[GPUReading()] * 9]

    class Meter:
        unreadable = ()

        def read(self) -> GPUReading:
            return readings.pop(0)

    machine = Machine()
    samples = sample_blocks(
        interleaved(machine.worker("b", 100), machine.worker("h", 100)),
        SamplingPlan(timing=PairedTiming.INTERLEAVED, repeats=1, max_seconds=1.5),
        meter=Meter(),
        clock=machine.clock,
    )

    assert (len(samples.throttled), len(samples.blocks)) == (2, 2)
    assert samples.gpu is not None
    assert len(samples.gpu.readings) == 5


@pytest.mark.parametrize(("base_ms", "head_ms", "repeats"), [(1, 1, 30), (1, 15, 2), (500, 400, 1), (0.5, 0.4, 60)])
def test_a_time_of_short_calls_includes_several_calls(base_ms: float, head_ms: float, repeats: int) -> None:
    """About 30 ms of the slower side; earlier warm-up calls, which compile, are ignored."""
    assert repeats_for([9_000 * MS, *[int(base_ms * MS)] * 3], [int(head_ms * MS)] * 4) == repeats
