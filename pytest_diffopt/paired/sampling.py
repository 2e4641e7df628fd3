"""Base and head timed in blocks of a random order, until what they say is clear or the time is over."""

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from pytest_diffopt.paired.time_blocks import TimeBlock
from pytest_diffopt.probes.gpu_state import GPUMeter
from pytest_diffopt.records import GPURecord, PairedBlock, PairedTiming
from pytest_diffopt.session.progress import ProgressCallback, no_progress
from pytest_diffopt.statistics.intervals import median

#: Each time should be about so long. A shorter one is lost in what it costs to change between two processes; a longer
#: one is hardly steadier where neighbours slow a machine down for tenths of a second, and there are fewer of them.
_TIMED_SECONDS = 0.03
_NS_PER_SECOND = 1e9


@dataclass(frozen=True, kw_only=True, slots=True)
class SamplingPlan:
    """How one pair of processes is timed.

    Attributes:
        timing: in turn or side by side.
        repeats: how many calls make one time.
        max_seconds: no block begins later than this.
        seed: of the die that decides who is first.
    """

    timing: PairedTiming
    repeats: int
    max_seconds: float
    seed: int = 0


@dataclass(kw_only=True)
class PairedSamples:
    """What was timed so far.

    Attributes:
        plan: how.
        blocks: blocks that count.
        throttled: blocks that do not, because the GPU was throttled.
        spent_seconds: how long all took.
        gpu: what the GPU said.
    """

    plan: SamplingPlan
    blocks: list[PairedBlock] = field(default_factory=list)
    throttled: list[PairedBlock] = field(default_factory=list)
    spent_seconds: float = 0.0
    gpu: GPURecord | None = None


def repeats_for(*warmups_ns: Sequence[int]) -> int:
    """Return how many calls make one time of a block, from what both sides' warm calls took."""
    slower_ns = max(median(warmup_ns[-3:]) for warmup_ns in warmups_ns)
    return max(1, round(_TIMED_SECONDS * _NS_PER_SECOND / slower_ns))


def sample_blocks(  # noqa: PLR0913 - a test brings its own clock
    time_block: TimeBlock,
    plan: SamplingPlan,
    *,
    is_decided: Callable[[Sequence[PairedBlock]], bool],
    meter: GPUMeter | None = None,
    clock: Callable[[], float] = time.monotonic,
    progress: ProgressCallback = no_progress,
) -> PairedSamples:
    """Time both sides block by block; a die says which is first.

    Args:
        time_block: times one block.
        plan: how it does that, and for how long.
        is_decided: tells from all blocks so far that more would change nothing; it must stand being asked again and
            again.
        meter: reads the GPU before and after each block; None where there is none.
        clock: returns seconds.
        progress: shows a line while this takes long.

    Raises:
        ProbeError: a time was not positive.
    """
    die = random.Random(plan.seed)  # noqa: S311 - it decides an order, and no secret
    samples = PairedSamples(plan=plan)
    readings = [meter.read()] if meter else []
    start = clock()
    while samples.spent_seconds < plan.max_seconds and not is_decided(samples.blocks):
        left = plan.max_seconds - samples.spent_seconds
        progress(f"base and head {plan.timing}: {len(samples.blocks)} blocks, at most {left:.0f} s left")
        block = time_block(base_first=die.random() < 0.5)  # noqa: PLR2004 - a fair die
        if meter:
            readings.append(meter.read())
        is_throttled = any(reading.is_throttled for reading in readings[-2:])
        (samples.throttled if is_throttled else samples.blocks).append(block)
        samples.spent_seconds = clock() - start
    if meter:
        samples.gpu = GPURecord(readings=tuple(readings), unreadable=meter.unreadable)
    return samples
