"""The denoise loop and its steps are timed in calls of their own, the device waited for at the loop's ends alone."""

from typing import Any, Self

import pytest
import torch

from pytest_diffopt.probes.loop_times import DeviceMarks, HostMarks, step_marks, time_loop, time_loops
from pytest_diffopt.probes.timed_device import TimedDevice


class Bar:
    """A progress bar that does nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        pass

    def update(self, n: int = 1) -> None:
        """Count nothing."""


class Pipeline:
    """Two loops, as a chain of two pipelines has; the clock moves when it says so."""

    def __init__(self) -> None:
        self.now_ns = 1000
        self.syncs: list[int] = []

    def progress_bar(self, iterable: Any = None, total: int | None = None) -> Bar:  # noqa: ARG002 - diffusers' signature
        """Open a bar."""
        return Bar()

    def __call__(self) -> None:
        """Take 100 before, 5 + 3 in the first loop, 50 between, 2 in the second, 7 after."""
        self.now_ns += 100
        with self.progress_bar() as bar:
            for step_ns in (5, 3):
                self.now_ns += step_ns
                bar.update()
        self.now_ns += 50
        with self.progress_bar() as bar:
            self.now_ns += 2
            bar.update()
        self.now_ns += 7

    def clock(self) -> int:
        """Return the time."""
        return self.now_ns

    def synchronize(self) -> None:
        """Write down when the device was waited for."""
        self.syncs.append(self.now_ns)


def test_loops_and_steps_are_reported_apart_from_the_rest() -> None:
    """What comes before, between and after loops counts for none of them; the wait is never between steps."""
    pipeline = Pipeline()
    times = time_loop(
        pipeline,
        pipeline,
        synchronize=pipeline.synchronize,
        clock=pipeline.clock,
        marks=HostMarks(clock=pipeline.clock),
    )

    assert times.loop_ns == 10
    assert times.steps_ns == (5, 3, 2)
    assert times.num_steps == 3
    assert pipeline.syncs == [1100, 1108, 1158, 1160]


def test_steps_are_marked_only_when_asked_for() -> None:
    """Nothing happens in a step that nobody asked to time."""
    pipeline = Pipeline()
    times = time_loop(pipeline, pipeline, synchronize=pipeline.synchronize, clock=pipeline.clock)

    assert (times.loop_ns, times.steps_ns) == (10, ())


def test_what_has_no_loop_has_no_times() -> None:
    """A bare callable, and a pipeline that never opens its bar, are not timed in parts."""
    device = TimedDevice(torch_device="cpu", synchronize=lambda: None, meter=None)

    assert time_loops(lambda: None, lambda: None, device=device, each_step=True) == []
    assert time_loops(Pipeline(), lambda: None, device=device, each_step=True) == []


def test_an_accelerators_steps_are_marked_in_its_own_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    """Events are recorded without waiting, and their distance in milliseconds becomes nanoseconds."""
    recorded: list[str] = []

    class Event:
        def __init__(self, device: torch.device, *, enable_timing: bool) -> None:
            assert (device, enable_timing) == (torch.device("cuda"), True)

        def record(self) -> None:
            recorded.append("record")

        def elapsed_time(self, other: "Event") -> float:
            assert other is not self
            return 1.25

    monkeypatch.setattr(torch, "Event", Event)
    marks = step_marks("cuda", lambda: 0)
    start, end = marks.mark(), marks.mark()

    assert isinstance(marks, DeviceMarks)
    assert recorded == ["record", "record"]
    assert marks.between_ns(start, end) == 1_250_000
