"""Tests of timing warm calls: warm-up, throttling, interleaving, synchronization and clock errors."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from itertools import chain, count, repeat

import pytest
import torch

from pytest_diffopt.errors import ProbeError
from pytest_diffopt.guards.faster import judge_ratio
from pytest_diffopt.guards.verdict import Outcome
from pytest_diffopt.probes.latency import measure_latency, measure_ratio
from pytest_diffopt.probes.timed_device import device_synchronizer
from pytest_diffopt.records import GPUReading, LatencyRecord, RatioRecord, Slowdown, Subject

SUBJECT = Subject(pipeline="sdxl", scale="tiny", recipe="bf16")
REFERENCE = replace(SUBJECT, recipe="fp32")
MS = 1_000_000


class Machine:
    """A machine whose clock advances only during calls, and which logs every operation."""

    def __init__(self) -> None:
        """Start at an arbitrary time with an empty log."""
        self.now_ns = 12_345
        self.done: list[str] = []

    def clock(self) -> int:
        """Return the time."""
        return self.now_ns

    def synchronize(self) -> None:
        """Synchronize the device."""
        self.done.append("sync")

    def calls(self, milliseconds: Iterable[float], name: str = "call") -> Callable[[], None]:
        """Return a call that takes the next of these durations."""
        durations: Iterator[float] = iter(milliseconds)

        def call() -> None:
            self.done.append(name)
            self.now_ns += int(next(durations) * MS)

        return call


def measure(milliseconds: Iterable[float], *, max_seconds: float = 1.0, max_samples: int = 30) -> LatencyRecord:
    """Measure a call with these durations."""
    machine = Machine()
    return measure_latency(
        machine.calls(milliseconds),
        synchronize=machine.synchronize,
        subject=SUBJECT,
        max_seconds=max_seconds,
        max_samples=max_samples,
        clock=machine.clock,
        num_steps=4,
    )


def measure_interleaved(
    ours: Iterable[float], theirs: Iterable[float], *, seed: int = 0
) -> tuple[RatioRecord, Machine]:
    """Measure two calls with these durations; return the record and the machine."""
    machine = Machine()
    record = measure_ratio(
        machine.calls(ours, "subject"),
        machine.calls(theirs, "reference"),
        synchronize=machine.synchronize,
        subject=SUBJECT,
        reference=REFERENCE,
        max_seconds=0.0,
        seed=seed,
        clock=machine.clock,
    )
    return record, machine


def milliseconds(durations_ns: Iterable[int]) -> list[float]:
    """Convert durations to milliseconds, the unit of the examples."""
    return [duration / MS for duration in durations_ns]


def test_the_device_is_synchronized_before_and_after_each_call() -> None:
    """Work pending before the call is not counted; work of the call is."""
    machine = Machine()
    measure_latency(
        machine.calls(repeat(10)), synchronize=machine.synchronize, subject=SUBJECT, max_seconds=0, clock=machine.clock
    )

    assert machine.done[:6] == ["sync", "call", "sync", "sync", "call", "sync"]


@pytest.mark.parametrize(
    ("times", "warmup"),
    [
        ([10, 10, 10], [10, 10, 10]),
        ([9000, 10, 10.2, 10.1], [9000, 10, 10.2, 10.1]),  # compiles once
        ([9000, 5000, 10, 10, 10], [9000, 5000, 10, 10, 10]),  # compiles again for another shape
        ([9000, 40, 30, 20, 10, 10, 10], [9000, 40, 30, 20, 10, 10, 10]),  # clock rises slowly
        ([9000, 10, 12, 14, 11], [9000, 10, 12, 14, 11]),  # noisy, but no longer getting faster
    ],
)
def test_warm_up_ends_when_times_have_settled(times: list[float], warmup: list[float]) -> None:
    """All calls until then are recorded as warm-up and not counted."""
    record = measure(chain(times, repeat(10)), max_seconds=100)

    assert milliseconds(record.warmup_ns) == warmup
    assert milliseconds(record.samples_ns) == [10] * 30
    assert record.is_warm
    assert record.num_steps == 4


def test_compilation_does_not_count_against_the_budget() -> None:
    """After a first call of minutes the whole budget is left for three warm-up calls and eight samples."""
    record = measure(chain([600_000], repeat(100)), max_seconds=1.1)

    assert len(record.warmup_ns) == 4
    assert len(record.samples_ns) == 8


def test_the_minimum_number_of_samples_is_always_taken() -> None:
    """With a budget too small for one call, the samples themselves show that the calls are warm."""
    record = measure(chain([60_000], repeat(5000)), max_seconds=0.1)

    assert milliseconds(record.warmup_ns) == [60_000, 5000]
    assert milliseconds(record.samples_ns) == [5000] * 5
    assert record.is_warm


def test_calls_that_still_get_faster_are_not_called_warm() -> None:
    """When the budget ends first, the record is marked as not warm."""
    assert not measure((1000 * 0.8**index for index in count()), max_seconds=0.1).is_warm


class Meter:
    """A meter that returns these readings, and then repeats the last one."""

    unreadable = ("power: No Permission",)

    def __init__(self, *readings: GPUReading) -> None:
        """Keep the readings."""
        self._readings = chain(readings, repeat(readings[-1]))

    def read(self) -> GPUReading:
        """Return the next reading."""
        return next(self._readings)


def test_calls_on_a_throttled_gpu_are_not_counted() -> None:
    """A call counts only if the GPU was not throttled before and after it; each reading is kept."""
    cool, hot = GPUReading(), GPUReading(slowdowns=(Slowdown.HARDWARE_THERMAL,))
    machine = Machine()
    record = measure_latency(
        machine.calls(chain([10, 10, 10, 20, 30, 40, 50], repeat(60))),
        synchronize=machine.synchronize,
        subject=SUBJECT,
        max_seconds=0,
        meter=Meter(cool, cool, hot, cool, cool),
        clock=machine.clock,
    )

    assert milliseconds(record.throttled_ns) == [10, 20]
    assert milliseconds(record.samples_ns) == [10, 30, 40, 50, 60]
    assert record.gpu is not None
    assert record.gpu.readings[:4] == (cool, cool, hot, cool)
    assert record.gpu.unreadable == ("power: No Permission",)


def test_measuring_ends_on_a_gpu_that_stays_throttled() -> None:
    """It ends after the largest number of samples, none of which is counted."""
    machine = Machine()
    record = measure_latency(
        machine.calls(repeat(10)),
        synchronize=machine.synchronize,
        subject=SUBJECT,
        max_seconds=100,
        max_samples=12,
        meter=Meter(GPUReading(slowdowns=(Slowdown.POWER_BRAKE,))),
        clock=machine.clock,
    )

    assert (len(record.samples_ns), len(record.throttled_ns)) == (0, 12)


def test_the_number_of_samples_is_limited() -> None:
    """The samples are committed to a repository, so that a long budget must not make a long file."""
    assert len(measure(repeat(1), max_seconds=1000, max_samples=7).samples_ns) == 7


@pytest.mark.parametrize(("step_ns", "problem"), [(0, "did not advance"), (-5, "ran backwards by 5 ns")])
def test_a_time_below_one_nanosecond_is_an_error(step_ns: int, problem: str) -> None:
    """A zero or a negative time never becomes a sample."""
    with pytest.raises(ProbeError) as error:
        measure(repeat(step_ns / MS))

    assert str(error.value) == f"the clock {problem} during a call: its times cannot be trusted"


def test_an_error_of_the_call_is_raised() -> None:
    """The measurement fails with the pipeline's own error."""

    def fail() -> None:
        message = "the pipeline broke"
        raise ValueError(message)

    with pytest.raises(ValueError, match="the pipeline broke"):
        measure_latency(fail, synchronize=lambda: None, subject=SUBJECT, max_seconds=1)


@pytest.mark.parametrize(("calls_before", "when"), [(0, "during warm-up"), (3, "after warm-up")])
def test_an_out_of_memory_error_has_the_requested_size(calls_before: int, when: str) -> None:
    """The message states when it happened, the requested size, and what to do."""
    torch_text = "CUDA out of memory. Tried to allocate 20.00 MiB. GPU 0 has 8 GiB.\nSee documentation"
    machine = Machine()
    fits = machine.calls(repeat(1))
    turns = count()

    def call() -> None:
        fits()
        if next(turns) >= calls_before:
            raise torch.OutOfMemoryError(torch_text)

    with pytest.raises(ProbeError) as error:
        measure_latency(call, synchronize=machine.synchronize, subject=SUBJECT, max_seconds=1, clock=machine.clock)

    assert str(error.value).splitlines() == [
        f"out of memory {when}: {SUBJECT} requested 20.00 MiB more",
        "  CUDA out of memory. Tried to allocate 20.00 MiB. GPU 0 has 8 GiB.",
        "  run it on a larger device, at a smaller scale, or with a recipe that needs less",
    ]
    assert error.value.__context__ is None


def test_two_calls_are_timed_interleaved() -> None:
    """Every block of four is one order and its mirror, both orders occur, and a seed reproduces them."""
    record, machine = measure_interleaved(repeat(10), repeat(20))
    _, again = measure_interleaved(repeat(10), repeat(20))
    _, other = measure_interleaved(repeat(10), repeat(20), seed=1)
    order = [done[0] for done in machine.done if done != "sync"][-20:]
    blocks = {"".join(order[start : start + 4]) for start in range(0, 20, 4)}

    assert blocks == {"srrs", "rssr"}
    assert machine.done == again.done != other.done
    assert milliseconds(record.subject_ns) == [10] * 10
    assert milliseconds(record.reference_ns) == [20] * 10
    assert (record.subject, record.reference) == (SUBJECT, REFERENCE)


@pytest.mark.parametrize(("speed_up", "outcome"), [(1.5, Outcome.PASSED), (1.02, Outcome.REGRESSED)])
def test_a_drift_of_the_machine_does_not_change_the_verdict(speed_up: float, outcome: Outcome) -> None:
    """While the machine slows down by half, the ratio of both calls is unchanged."""

    def drifting(milliseconds: float) -> Iterator[float]:
        yield from repeat(milliseconds, 3)
        yield from (milliseconds * (1 + index / 10) for index in count())

    record, _ = measure_interleaved(drifting(100 / speed_up), drifting(100))

    assert judge_ratio(record, required=1.2).outcome is outcome


def test_a_real_call_is_timed_by_the_real_clock() -> None:
    """Nothing is replaced: a matrix product on the CPU takes some time."""
    left = torch.ones(64, 64)
    record = measure_latency(
        lambda: left @ left, synchronize=device_synchronizer("cpu"), subject=SUBJECT, max_seconds=0.05
    )

    assert len(record.samples_ns) >= 5
    assert all(sample > 0 for sample in record.samples_ns)


def test_a_missing_device_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without synchronization only the time of launching work would be measured."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)

    with pytest.raises(ProbeError) as error:
        device_synchronizer("cuda:0")

    assert str(error.value) == "cannot synchronize the device cuda:0: the accelerator found by torch is none"


def test_an_accelerator_is_synchronized_through_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Torch's own function is called with the given device."""
    synchronized: list[torch.device] = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "synchronize", synchronized.append)

    device_synchronizer("cuda:1")()

    assert synchronized == [torch.device("cuda:1")]
