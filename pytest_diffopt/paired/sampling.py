"""Base and head timed in turn, in blocks of a random order, until what they say is clear or the time is over."""

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from pytest_diffopt.errors import ProbeError
from pytest_diffopt.probes.card import CardMeter
from pytest_diffopt.progress import Tell, silence
from pytest_diffopt.records import CardRecord, PairedBlock
from pytest_diffopt.statistics import median

#: Each time should be about so long. A shorter one is lost in what it costs to change between two processes; a longer
#: one is hardly steadier where neighbours slow a machine down for tenths of a second, and there are fewer of them.
_TIMED_SECONDS = 0.03
_NS_PER_SECOND = 1e9

#: Makes so many calls and returns how many nanoseconds they took.
TimeCalls = Callable[[int], int]


@dataclass(kw_only=True)
class PairedSamples:
    """What was timed so far.

    Attributes:
        repeats: how many calls each time holds.
        blocks: blocks that count.
        throttled: blocks that do not, because the card was throttled.
        spent_seconds: how long all took.
        card: what the card said.
    """

    repeats: int
    blocks: list[PairedBlock] = field(default_factory=list)
    throttled: list[PairedBlock] = field(default_factory=list)
    spent_seconds: float = 0.0
    card: CardRecord | None = None


def repeats_for(*warmups_ns: Sequence[int]) -> int:
    """Return how many calls make one time of a block, from what both sides' warm calls took."""
    slower_ns = max(median(warmup_ns[-3:]) for warmup_ns in warmups_ns)
    return max(1, round(_TIMED_SECONDS * _NS_PER_SECOND / slower_ns))


def sample_in_turn(  # noqa: PLR0913 - two sides, a budget, and a test brings its own clock
    base: TimeCalls,
    head: TimeCalls,
    *,
    repeats: int,
    max_seconds: float,
    is_decided: Callable[[Sequence[PairedBlock]], bool],
    seed: int = 0,
    meter: CardMeter | None = None,
    clock: Callable[[], float] = time.monotonic,
    tell: Tell = silence,
) -> PairedSamples:
    """Time both sides in blocks: one of them, the other twice, the first again; a die says which is first.

    Within a block a steady drift hits both alike, and over blocks neither is always first. One process runs at a time.

    Args:
        base: times the base's calls.
        head: times the head's.
        repeats: how many calls make one time.
        max_seconds: no block begins later than this.
        is_decided: tells from all blocks so far that more would change nothing; it must stand being asked again and
            again.
        seed: of the die.
        meter: reads the card before and after each block; None where there is none.
        clock: returns seconds.
        tell: shows a line while this takes long.

    Raises:
        ProbeError: a time was not positive.
    """
    die = random.Random(seed)  # noqa: S311 - it decides an order, and no secret
    samples = PairedSamples(repeats=repeats)
    readings = [meter.read()] if meter else []
    start = clock()
    while samples.spent_seconds < max_seconds and not is_decided(samples.blocks):
        left = max_seconds - samples.spent_seconds
        tell(f"base and head in turn: {len(samples.blocks)} blocks, at most {left:.0f} s left")
        block = _block(base, head, repeats, base_first=die.random() < 0.5)  # noqa: PLR2004 - a fair die
        if meter:
            readings.append(meter.read())
        is_throttled = any(reading.is_throttled for reading in readings[-2:])
        (samples.throttled if is_throttled else samples.blocks).append(block)
        samples.spent_seconds = clock() - start
    if meter:
        samples.card = CardRecord(readings=tuple(readings), unreadable=meter.unreadable)
    return samples


def _block(base: TimeCalls, head: TimeCalls, repeats: int, *, base_first: bool) -> PairedBlock:
    if base_first:
        first = _positive(base(repeats))
        head_ns = (_positive(head(repeats)), _positive(head(repeats)))
        return PairedBlock(base_ns=(first, _positive(base(repeats))), head_ns=head_ns)
    first = _positive(head(repeats))
    base_ns = (_positive(base(repeats)), _positive(base(repeats)))
    return PairedBlock(base_ns=base_ns, head_ns=(first, _positive(head(repeats))))


def _positive(duration_ns: int) -> int:
    if duration_ns <= 0:
        msg = f"a call must take at least 1 ns, got: {duration_ns} ns from a worker: its times cannot be trusted"
        raise ProbeError(msg)
    return duration_ns
