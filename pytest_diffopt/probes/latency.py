"""How long a call takes once it is warm, the device waited for before and after each."""

import math
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from pytest_diffopt.errors import ProbeError
from pytest_diffopt.probes.gpu_state import GPUMeter
from pytest_diffopt.probes.out_of_memory import call_within_memory
from pytest_diffopt.records import GPURecord, LatencyRecord, RatioRecord, Subject
from pytest_diffopt.statistics.intervals import median

Call = Callable[[], object]
Clock = Callable[[], int]

#: Warm-up looks at so many of the newest calls,
_NEWEST = 3
#: and takes them for equal within this fraction: compilation, autotuning and caches make steps far larger than this.
_EQUAL_WITHIN = 0.05
#: The share of the budget that warm-up may use after the first call.
_WARMUP_SHARE = 0.5
_NS_PER_SECOND = 1_000_000_000


def _no_progress(_text: str) -> None:
    """Show nothing."""


def measure_latency(  # noqa: PLR0913 - the budget has three ends, and a test brings its own clock
    call: Call,
    *,
    synchronize: Callable[[], None],
    subject: Subject,
    max_seconds: float,
    min_samples: int = 5,
    max_samples: int = 30,
    num_steps: int = 0,
    meter: GPUMeter | None = None,
    clock: Clock = time.perf_counter_ns,
    progress: Callable[[str], None] = _no_progress,
) -> LatencyRecord:
    """Time a call again and again.

    Warm-up goes on until the calls have settled: the newest three are equal within 5 %, or none of them was more than
    5 % faster than the fastest before (so a noisy machine settles too). A fixed count would time the second compilation
    of one pipeline and waste a minute on another. The first call, which compiles, is not charged to the budget; the
    rest of warm-up ends at half of it. Whether the calls were warm at last is said in the record.

    Where a GPU can be read it is read before the first counted call and after each. A call before or after which it
    was throttled is kept apart and does not count; twice as many calls are made in all at most.

    Args:
        call: what is timed.
        synchronize: waits for the device.
        subject: what the call runs.
        max_seconds: the time for all calls but the first; `min_samples` are taken whatever they need.
        min_samples: so many calls are counted at least.
        max_samples: and so many at most: their file is read by people.
        num_steps: denoise steps in one call; 0 when it has no denoise loop.
        meter: reads the GPU; None where there is none.
        clock: returns nanoseconds and never runs backwards.
        progress: shows a line while this takes long.

    Raises:
        ProbeError: The clock ran backwards or stood still, or the device ran out of memory.
    """
    stopwatch = Stopwatch(call=call, synchronize=synchronize, subject=subject, clock=clock)
    budget_ns = max_seconds * _NS_PER_SECOND
    warmup_ns = stopwatch.warm_up(budget_ns * _WARMUP_SHARE, progress)
    left_ns = budget_ns - sum(warmup_ns[1:])
    samples = _Samples(meter)
    while samples.wants_more(min_samples, max_samples, left_ns):
        progress(samples.progress(left_ns))
        samples.add(stopwatch.time_ns())
    return LatencyRecord(
        subject=subject,
        warmup_ns=tuple(warmup_ns),
        samples_ns=tuple(samples.counted_ns),
        num_steps=num_steps,
        is_warm=has_settled(warmup_ns) or _is_steady(samples.counted_ns),
        throttled_ns=tuple(samples.throttled_ns),
        gpu=samples.gpu(),
    )


def measure_ratio(  # noqa: PLR0913 - two calls, two subjects, a budget with three ends
    call: Call,
    reference_call: Call,
    *,
    synchronize: Callable[[], None],
    subject: Subject,
    reference: Subject,
    max_seconds: float,
    min_rounds: int = 10,
    max_rounds: int = 200,
    seed: int = 0,
    clock: Clock = time.perf_counter_ns,
) -> RatioRecord:
    """Time two calls in turn, so that whatever drifts hits both alike.

    Rounds come in blocks of two, subject-reference-reference-subject or the other way round as a die with a fixed seed
    says: within a block neither is always first, and over blocks no rhythm of the machine is met. How many rounds there
    are depends on the time that they take and never on how they look, so an interval made of them means what it says.

    Args:
        call: what is timed.
        reference_call: what it is compared with.
        synchronize: waits for the device.
        subject: what `call` runs.
        reference: what `reference_call` runs.
        max_seconds: the time for all calls but the first of each; `min_rounds` are made whatever they need.
        min_rounds: so many rounds at least, rounded up to whole blocks.
        max_rounds: so many rounds at most, rounded up likewise.
        seed: of the die.
        clock: returns nanoseconds and never runs backwards.

    Raises:
        ProbeError: The clock ran backwards or stood still, or the device ran out of memory.
    """
    ours = Stopwatch(call=call, synchronize=synchronize, subject=subject, clock=clock)
    theirs = Stopwatch(call=reference_call, synchronize=synchronize, subject=reference, clock=clock)
    budget_ns = max_seconds * _NS_PER_SECOND
    warmup_ns = [time for one in (ours, theirs) for time in one.warm_up(budget_ns * _WARMUP_SHARE / 2)[1:]]
    left_ns = budget_ns - sum(warmup_ns)
    die = random.Random(seed)  # noqa: S311 - it decides an order, and no secret
    samples: dict[Stopwatch, list[int]] = {ours: [], theirs: []}
    while len(samples[ours]) < min_rounds or (
        len(samples[ours]) < max_rounds and sum(map(sum, samples.values())) < left_ns
    ):
        first, second = die.sample((ours, theirs), k=2)
        for one in (first, second, second, first):
            samples[one].append(one.time_ns())
    return RatioRecord(
        subject=subject, reference=reference, subject_ns=tuple(samples[ours]), reference_ns=tuple(samples[theirs])
    )


class _Samples:
    """Calls that count, and calls that do not because the GPU was throttled."""

    def __init__(self, meter: GPUMeter | None) -> None:
        self.counted_ns: list[int] = []
        self.throttled_ns: list[int] = []
        self._meter = meter
        self._readings = [meter.read()] if meter else []

    def add(self, sample_ns: int) -> None:
        """Put a call where it belongs."""
        if self._meter:
            self._readings.append(self._meter.read())
        is_throttled = any(reading.is_throttled for reading in self._readings[-2:])
        (self.throttled_ns if is_throttled else self.counted_ns).append(sample_ns)

    def wants_more(self, least: int, most: int, budget_ns: float) -> bool:
        """Tell whether there are too few calls, or the time for more."""
        if len(self.counted_ns) < least:
            return len(self.throttled_ns) < most
        return len(self.counted_ns) < most and self._spent_ns < budget_ns

    def progress(self, budget_ns: float) -> str:
        """Say how far it is."""
        left_s = max(0.0, budget_ns - self._spent_ns) / _NS_PER_SECOND
        throttled = f", {len(self.throttled_ns)} throttled" if self.throttled_ns else ""
        return f"measuring: {len(self.counted_ns)} calls{throttled}, at most {left_s:.0f} s left"

    def gpu(self) -> GPURecord | None:
        """Return what the GPU said."""
        return GPURecord(readings=tuple(self._readings), unreadable=self._meter.unreadable) if self._meter else None

    @property
    def _spent_ns(self) -> int:
        return sum(self.counted_ns) + sum(self.throttled_ns)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Stopwatch:
    """Times one call."""

    call: Call
    synchronize: Callable[[], None]
    subject: Subject
    clock: Clock

    def warm_up(self, budget_ns: float, progress: Callable[[str], None] = _no_progress) -> list[int]:
        """Call until the calls have settled, or until all but the first have used the budget."""
        progress("warming up: the first call")
        durations_ns = [self.time_ns("during warm-up")]
        while not has_settled(durations_ns) and sum(durations_ns[1:]) < budget_ns:
            progress(f"warming up: {len(durations_ns)} calls, the last took {durations_ns[-1] / _NS_PER_SECOND:.3g} s")
            durations_ns.append(self.time_ns("during warm-up"))
        return durations_ns

    def many(self, repeats: int) -> "Stopwatch":
        """Return a stopwatch of so many calls in a row: the device is waited for after the last."""

        def calls() -> None:
            for _ in range(repeats):
                self.call()

        return replace(self, call=calls)

    def time_ns(self, when: str = "after warm-up") -> int:
        """Make the call once; what the device still had to do before is not counted, what it was asked for is."""
        self.synchronize()
        start = self.clock()
        call_within_memory(self._whole_call, subject=self.subject, when=when)
        return _checked(start, self.clock())

    def _whole_call(self) -> None:
        self.call()
        self.synchronize()


def has_settled(durations_ns: Sequence[int]) -> bool:
    """Tell whether the newest calls are equal, or no faster than those before."""
    newest, earlier = durations_ns[-_NEWEST:], durations_ns[:-_NEWEST]
    if len(newest) < _NEWEST:
        return False
    if max(newest) <= min(newest) * (1 + _EQUAL_WITHIN):
        return True
    return min(newest) >= min(earlier, default=math.inf) * (1 - _EQUAL_WITHIN)


def _is_steady(samples_ns: Sequence[int]) -> bool:
    """Tell whether the counted calls got no faster among themselves, when warm-up was too short to tell."""
    if not samples_ns:
        return False
    half = (len(samples_ns) + 1) // 2
    return median(samples_ns[:half]) <= median(samples_ns[-half:]) * (1 + _EQUAL_WITHIN)


def _checked(start: int, end: int) -> int:
    """Return how long it took; a time that cannot be one is an error and never a sample."""
    if end > start:
        return end - start
    what = "stood still during a call" if end == start else f"ran backwards by {start - end} ns during a call"
    message = f"a call must take at least 1 ns, but the clock {what}: its times cannot be trusted"
    raise ProbeError(message)
