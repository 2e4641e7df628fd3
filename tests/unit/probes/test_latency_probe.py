"""Calls are timed when they are warm, in turn, with the device waited for, by a clock that can be believed."""

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
    """A machine whose clock only moves while a call runs, and that writes down what it was asked to do."""

    def __init__(self) -> None:
        """Start at an arbitrary time with nothing done."""
        self.now_ns = 12_345
        self.done: list[str] = []

    def clock(self) -> int:
        """Return the time."""
        return self.now_ns

    def synchronize(self) -> None:
        """Wait for the device."""
        self.done.append("wait")

    def calls(self, milliseconds: Iterable[float], name: str = "call") -> Callable[[], None]:
        """Return a call that takes as long as the next figure says."""
        durations: Iterator[float] = iter(milliseconds)

        def call() -> None:
            self.done.append(name)
            self.now_ns += int(next(durations) * MS)

        return call


def measure(milliseconds: Iterable[float], *, max_seconds: float = 1.0, max_samples: int = 30) -> LatencyRecord:
    """Measure a call that takes these times."""
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


def measure_in_turn(ours: Iterable[float], theirs: Iterable[float], *, seed: int = 0) -> tuple[RatioRecord, Machine]:
    """Measure two calls that take these times, and return the machine too."""
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
    """Turn durations back into what the examples are written in."""
    return [duration / MS for duration in durations_ns]


def test_the_device_is_waited_for_before_and_after_each_call() -> None:
    """What is pending before is not counted, what the call asked for is."""
    machine = Machine()
    measure_latency(
        machine.calls(repeat(10)), synchronize=machine.synchronize, subject=SUBJECT, max_seconds=0, clock=machine.clock
    )

    assert machine.done[:6] == ["wait", "call", "wait", "wait", "call", "wait"]


@pytest.mark.parametrize(
    ("times", "warmup"),
    [
        ([10, 10, 10], [10, 10, 10]),
        ([9000, 10, 10.2, 10.1], [9000, 10, 10.2, 10.1]),  # compiles once
        ([9000, 5000, 10, 10, 10], [9000, 5000, 10, 10, 10]),  # compiles again for another shape
        ([9000, 40, 30, 20, 10, 10, 10], [9000, 40, 30, 20, 10, 10, 10]),  # clocks rise slowly
        ([9000, 10, 12, 14, 11], [9000, 10, 12, 14, 11]),  # noisy, and no longer getting faster
    ],
)
def test_warm_up_ends_when_the_calls_have_settled(times: list[float], warmup: list[float]) -> None:
    """However many calls it takes to settle, those are kept apart and none of them is counted."""
    record = measure(chain(times, repeat(10)), max_seconds=100)

    assert milliseconds(record.warmup_ns) == warmup
    assert milliseconds(record.samples_ns) == [10] * 30
    assert record.is_warm
    assert record.num_steps == 4


def test_compiling_is_not_charged_to_the_budget() -> None:
    """A first call of minutes leaves the whole budget to the others: two warm-up calls and eight samples."""
    record = measure(chain([600_000], repeat(100)), max_seconds=1.1)

    assert len(record.warmup_ns) == 4
    assert len(record.samples_ns) == 8


def test_the_least_number_of_samples_is_taken_whatever_it_costs() -> None:
    """A budget that is too small for one call still gives samples, and they say themselves that they are warm."""
    record = measure(chain([60_000], repeat(5000)), max_seconds=0.1)

    assert milliseconds(record.warmup_ns) == [60_000, 5000]
    assert milliseconds(record.samples_ns) == [5000] * 5
    assert record.is_warm


def test_calls_that_still_get_faster_are_not_called_warm() -> None:
    """When the budget ends first, the record says that its median is no figure of a warm call."""
    assert not measure((1000 * 0.8**index for index in count()), max_seconds=0.1).is_warm


class Meter:
    """A GPU that is read as the readings say, the last one again and again."""

    unreadable = ("power: No Permission",)

    def __init__(self, *readings: GPUReading) -> None:
        """Keep the readings."""
        self._readings = chain(readings, repeat(readings[-1]))

    def read(self) -> GPUReading:
        """Return the next one."""
        return next(self._readings)


def test_calls_of_a_throttled_gpu_are_kept_apart() -> None:
    """A call counts only if the GPU was well before and after it; each reading is kept."""
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


def test_a_gpu_that_stays_throttled_does_not_keep_us_forever() -> None:
    """After as many calls as would have counted there are no more, and none counts."""
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


def test_no_more_samples_are_taken_than_people_can_read() -> None:
    """The samples are committed: time alone does not make the file long."""
    assert len(measure(repeat(1), max_seconds=1000, max_samples=7).samples_ns) == 7


@pytest.mark.parametrize(
    ("step_ns", "what"), [(0, "stood still during a call"), (-5, "ran backwards by 5 ns during a call")]
)
def test_a_clock_that_cannot_be_believed_is_an_error(step_ns: int, what: str) -> None:
    """A zero or a negative time never becomes a sample."""
    with pytest.raises(ProbeError) as error:
        measure(repeat(step_ns / MS))

    assert str(error.value) == (f"a call must take at least 1 ns, but the clock {what}: its times cannot be trusted")


def test_what_a_call_raises_is_not_swallowed() -> None:
    """A pipeline that fails in the middle fails the measurement with its own error."""

    def fail() -> None:
        message = "the pipeline broke"
        raise ValueError(message)

    with pytest.raises(ValueError, match="the pipeline broke"):
        measure_latency(fail, synchronize=lambda: None, subject=SUBJECT, max_seconds=1)


@pytest.mark.parametrize(("calls_before", "when"), [(0, "during warm-up"), (3, "after warm-up")])
def test_running_out_of_memory_is_reported_with_its_figure(calls_before: int, when: str) -> None:
    """It is a result: when it happened, how much was wanted, and what to do."""
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
        f"out of memory {when}: {SUBJECT} wanted 20.00 MiB more",
        "  CUDA out of memory. Tried to allocate 20.00 MiB. GPU 0 has 8 GiB.",
        "  run it on a larger device, at a smaller scale, or with a recipe that needs less",
    ]
    assert error.value.__context__ is None


def test_two_calls_are_timed_in_turn() -> None:
    """Every block of four is one order and its mirror, both orders occur, and the seed repeats them."""
    record, machine = measure_in_turn(repeat(10), repeat(20))
    _, again = measure_in_turn(repeat(10), repeat(20))
    _, other = measure_in_turn(repeat(10), repeat(20), seed=1)
    order = [done[0] for done in machine.done if done != "wait"][-20:]
    blocks = {"".join(order[start : start + 4]) for start in range(0, 20, 4)}

    assert blocks == {"srrs", "rssr"}
    assert machine.done == again.done != other.done
    assert milliseconds(record.subject_ns) == [10] * 10
    assert milliseconds(record.reference_ns) == [20] * 10
    assert (record.subject, record.reference) == (SUBJECT, REFERENCE)


@pytest.mark.parametrize(("speed_up", "outcome"), [(1.5, Outcome.PASSED), (1.02, Outcome.REGRESSED)])
def test_a_drift_of_the_machine_does_not_hide_a_speed_up(speed_up: float, outcome: Outcome) -> None:
    """While the machine becomes half as fast, the ratio of both stays what it is: the guard says the truth."""

    def drifting(milliseconds: float) -> Iterator[float]:
        yield from repeat(milliseconds, 3)
        yield from (milliseconds * (1 + index / 10) for index in count())

    record, _ = measure_in_turn(drifting(100 / speed_up), drifting(100))

    assert judge_ratio(record, demanded=1.2).outcome is outcome


def test_a_real_call_is_timed_by_the_real_clock() -> None:
    """Nothing is replaced: a multiplication on the CPU gives samples that are times."""
    left = torch.ones(64, 64)
    record = measure_latency(
        lambda: left @ left, synchronize=device_synchronizer("cpu"), subject=SUBJECT, max_seconds=0.05
    )

    assert len(record.samples_ns) >= 5
    assert all(0 < sample < 1_000_000_000 for sample in record.samples_ns)


def test_a_device_that_is_not_there_cannot_be_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Timing without waiting would measure how fast work is handed out: it is refused."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)

    with pytest.raises(ProbeError) as error:
        device_synchronizer("cuda:0")

    assert str(error.value) == "cannot wait for the device cuda:0: the accelerator that torch finds here is none"


def test_an_accelerator_is_waited_for_through_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the vendor, torch's own wait for that very device is used."""
    waited: list[torch.device] = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "synchronize", waited.append)

    device_synchronizer("cuda:1")()

    assert waited == [torch.device("cuda:1")]
