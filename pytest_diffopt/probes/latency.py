"""Time of a warm call, with the device synchronized before and after each."""

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

#: Number of the latest calls that decide whether warm-up is finished.
_NEWEST = 3
#: Times within this fraction count as equal; compilation, autotuning and caches change times by far more.
_EQUAL_WITHIN = 0.05
#: Fraction of the budget that warm-up may use after the first call.
_WARMUP_SHARE = 0.5
_NS_PER_SECOND = 1_000_000_000


def _no_progress(_text: str) -> None:
    """Show nothing."""


def measure_latency(  # noqa: PLR0913 - three limits of the budget, and a clock that tests replace
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
    """Time a call repeatedly.

    Warm-up continues until times have settled: the latest three are equal within 5 %, or none of them is more than 5 %
    faster than the fastest earlier one (so that it also ends on a noisy machine). With a fixed number of calls, one
    pipeline would still be compiling, and another would waste a minute. The first call, which compiles, does not count
    against the budget; the remaining warm-up ends at half of it. The record states whether the calls were warm.

    If the GPU can be read, it is read before the first counted call and after each. A call during which the GPU was
    throttled is recorded separately and not counted; the total number of calls is at most doubled.

    Args:
        call: makes the timed call.
        synchronize: blocks until the device is idle.
        subject: what the call runs.
        max_seconds: time budget for all calls but the first; `min_samples` calls are made in any case.
        min_samples: smallest number of counted calls.
        max_samples: largest number of counted calls, which keeps the stored file readable.
        num_steps: denoise steps in one call; 0 without a denoise loop.
        meter: reads the GPU; None without a GPU.
        clock: monotonic clock in nanoseconds.
        progress: shows a progress line.

    Raises:
        ProbeError: the clock stopped or ran backwards, or the device ran out of memory.
    """
    stopwatch = Stopwatch(call=call, synchronize=synchronize, subject=subject, clock=clock)
    budget_ns = max_seconds * _NS_PER_SECOND
    warmup_ns = stopwatch.warm_up(budget_ns * _WARMUP_SHARE, progress)
    left_ns = budget_ns - sum(warmup_ns[1:])
    samples = _Samples(meter)
    while samples.needs_more(min_samples, max_samples, left_ns):
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


def measure_ratio(  # noqa: PLR0913 - two calls, two subjects, three limits of the budget
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
    """Time two interleaved calls, so that drift of the machine affects both equally.

    Rounds are made in blocks of two, subject-reference-reference-subject or reversed, in an order randomized with a
    fixed seed: neither call is always first, and the order does not follow a periodic disturbance. The number of rounds
    depends only on elapsed time and never on the measured times, so that a confidence interval of them is valid.

    Args:
        call: makes the timed call.
        reference_call: makes the call that it is compared with.
        synchronize: blocks until the device is idle.
        subject: what `call` runs.
        reference: what `reference_call` runs.
        max_seconds: time budget for all calls but the first of each; `min_rounds` rounds are made in any case.
        min_rounds: smallest number of rounds, rounded up to whole blocks.
        max_rounds: largest number of rounds, rounded up to whole blocks.
        seed: seed of the random order.
        clock: monotonic clock in nanoseconds.

    Raises:
        ProbeError: the clock stopped or ran backwards, or the device ran out of memory.
    """
    ours = Stopwatch(call=call, synchronize=synchronize, subject=subject, clock=clock)
    theirs = Stopwatch(call=reference_call, synchronize=synchronize, subject=reference, clock=clock)
    budget_ns = max_seconds * _NS_PER_SECOND
    warmup_ns = [time for one in (ours, theirs) for time in one.warm_up(budget_ns * _WARMUP_SHARE / 2)[1:]]
    left_ns = budget_ns - sum(warmup_ns)
    order = random.Random(seed)  # noqa: S311 - not used for security
    samples: dict[Stopwatch, list[int]] = {ours: [], theirs: []}
    while len(samples[ours]) < min_rounds or (
        len(samples[ours]) < max_rounds and sum(map(sum, samples.values())) < left_ns
    ):
        first, second = order.sample((ours, theirs), k=2)
        for one in (first, second, second, first):
            samples[one].append(one.time_ns())
    return RatioRecord(
        subject=subject, reference=reference, subject_ns=tuple(samples[ours]), reference_ns=tuple(samples[theirs])
    )


class _Samples:
    """Times of counted calls, and of calls excluded because the GPU was throttled."""

    def __init__(self, meter: GPUMeter | None) -> None:
        self.counted_ns: list[int] = []
        self.throttled_ns: list[int] = []
        self._meter = meter
        self._readings = [meter.read()] if meter else []

    def add(self, sample_ns: int) -> None:
        """Add a time to the counted or the throttled ones, after reading the GPU."""
        if self._meter:
            self._readings.append(self._meter.read())
        is_throttled = any(reading.is_throttled for reading in self._readings[-2:])
        (self.throttled_ns if is_throttled else self.counted_ns).append(sample_ns)

    def needs_more(self, least: int, most: int, budget_ns: float) -> bool:
        """Return whether there are too few calls, or budget left for more."""
        if len(self.counted_ns) < least:
            return len(self.throttled_ns) < most
        return len(self.counted_ns) < most and self._spent_ns < budget_ns

    def progress(self, budget_ns: float) -> str:
        """Return a progress line."""
        left_s = max(0.0, budget_ns - self._spent_ns) / _NS_PER_SECOND
        throttled = f", {len(self.throttled_ns)} throttled" if self.throttled_ns else ""
        return f"measuring: {len(self.counted_ns)} calls{throttled}, at most {left_s:.0f} s left"

    def gpu(self) -> GPURecord | None:
        """Return all readings of the GPU; None without one."""
        return GPURecord(readings=tuple(self._readings), unreadable=self._meter.unreadable) if self._meter else None

    @property
    def _spent_ns(self) -> int:
        return sum(self.counted_ns) + sum(self.throttled_ns)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Stopwatch:
    """Times one call.

    Attributes:
        call: makes the call.
        synchronize: blocks until the device is idle.
        subject: what the call runs.
        clock: monotonic clock in nanoseconds.
    """

    call: Call
    synchronize: Callable[[], None]
    subject: Subject
    clock: Clock

    def warm_up(self, budget_ns: float, progress: Callable[[str], None] = _no_progress) -> list[int]:
        """Call until times have settled, or until all calls but the first have used the budget; return the times."""
        progress("warming up: the first call")
        durations_ns = [self.time_ns("during warm-up")]
        while not has_settled(durations_ns) and sum(durations_ns[1:]) < budget_ns:
            progress(f"warming up: {len(durations_ns)} calls, the last took {durations_ns[-1] / _NS_PER_SECOND:.3g} s")
            durations_ns.append(self.time_ns("during warm-up"))
        return durations_ns

    def many(self, repeats: int) -> "Stopwatch":
        """Return a stopwatch for this many calls in a row, with one synchronization after the last."""

        def calls() -> None:
            for _ in range(repeats):
                self.call()

        return replace(self, call=calls)

    def time_ns(self, when: str = "after warm-up") -> int:
        """Make the call once, and return its time; work pending on the device before it is not included."""
        self.synchronize()
        start = self.clock()
        call_within_memory(self._whole_call, subject=self.subject, when=when)
        return _checked(start, self.clock())

    def _whole_call(self) -> None:
        self.call()
        self.synchronize()


def has_settled(durations_ns: Sequence[int]) -> bool:
    """Return whether the latest times are equal, or no faster than the earlier ones."""
    newest, earlier = durations_ns[-_NEWEST:], durations_ns[:-_NEWEST]
    if len(newest) < _NEWEST:
        return False
    if max(newest) <= min(newest) * (1 + _EQUAL_WITHIN):
        return True
    return min(newest) >= min(earlier, default=math.inf) * (1 - _EQUAL_WITHIN)


def _is_steady(samples_ns: Sequence[int]) -> bool:
    """Return whether the counted calls did not get faster, for a warm-up that was too short to decide."""
    if not samples_ns:
        return False
    half = (len(samples_ns) + 1) // 2
    return median(samples_ns[:half]) <= median(samples_ns[-half:]) * (1 + _EQUAL_WITHIN)


def _checked(start: int, end: int) -> int:
    """Return the elapsed time; a time below 1 ns raises and is never a sample."""
    if end > start:
        return end - start
    problem = "did not advance" if end == start else f"ran backwards by {start - end} ns"
    message = f"the clock {problem} during a call: its times cannot be trusted"
    raise ProbeError(message)
