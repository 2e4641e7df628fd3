"""Time base and head in blocks of random order, for a time that does not depend on the times."""

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from pytest_diffopt.paired.time_blocks import TimeBlock
from pytest_diffopt.probes.gpu_state import GPUMeter
from pytest_diffopt.records import GPURecord, PairedBlock, PairedTiming
from pytest_diffopt.session.progress import ProgressCallback, no_progress
from pytest_diffopt.statistics.intervals import median

#: The target duration of each time. Much shorter times are dominated by process switches. Longer ones are hardly
#: steadier on a machine whose other load changes every few tenths of a second, and there are fewer of them.
_TIMED_SECONDS = 0.03
_NS_PER_SECOND = 1e9


@dataclass(frozen=True, kw_only=True, slots=True)
class SamplingPlan:
    """How one pair of processes is timed.

    Attributes:
        timing: interleaved or concurrent.
        repeats: the number of calls per time.
        max_seconds: the time after which no block begins.
        seed: the seed of the random order.
    """

    timing: PairedTiming
    repeats: int
    max_seconds: float
    seed: int = 0


@dataclass(kw_only=True)
class PairedSamples:
    """The blocks that were timed so far.

    Attributes:
        plan: how they were timed.
        blocks: the blocks that count.
        throttled: the blocks that do not count because the GPU was throttled.
        spent_seconds: the duration of all blocks.
        gpu: the readings of the GPU; None without one.
    """

    plan: SamplingPlan
    blocks: list[PairedBlock] = field(default_factory=list)
    throttled: list[PairedBlock] = field(default_factory=list)
    spent_seconds: float = 0.0
    gpu: GPURecord | None = None


def repeats_for(*warmups_ns: Sequence[int]) -> int:
    """Return the number of calls per time, from the durations of the warm calls of both sides in nanoseconds."""
    slower_ns = max(median(warmup_ns[-3:]) for warmup_ns in warmups_ns)
    return max(1, round(_TIMED_SECONDS * _NS_PER_SECOND / slower_ns))


def sample_blocks(
    time_block: TimeBlock,
    plan: SamplingPlan,
    *,
    meter: GPUMeter | None = None,
    clock: Callable[[], float] = time.monotonic,
    progress: ProgressCallback = no_progress,
) -> PairedSamples:
    """Time both sides block by block, in an order randomized with a fixed seed; at least one block.

    Args:
        time_block: times one block.
        plan: how to time, and for how long.
        meter: reads the GPU before and after each block; None without a GPU.
        clock: returns seconds.
        progress: shows a progress line.

    Raises:
        ProbeError: a time was not positive.
    """
    order = random.Random(plan.seed)  # noqa: S311 - an order, not a secret
    samples = PairedSamples(plan=plan)
    readings = [meter.read()] if meter else []
    start = clock()
    while samples.spent_seconds < plan.max_seconds:
        left = plan.max_seconds - samples.spent_seconds
        progress(f"base and head {plan.timing}: {len(samples.blocks)} blocks, at most {left:.0f} s left")
        block = time_block(base_first=order.random() < 0.5)  # noqa: PLR2004 - both orders are equally likely
        if meter:
            readings.append(meter.read())
        is_throttled = any(reading.is_throttled for reading in readings[-2:])
        (samples.throttled if is_throttled else samples.blocks).append(block)
        samples.spent_seconds = clock() - start
    if meter:
        samples.gpu = GPURecord(readings=tuple(readings), unreadable=meter.unreadable)
    return samples
