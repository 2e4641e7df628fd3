"""Tests of timing the denoise loop and its steps, with synchronization only at both ends of the loop."""

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
    """Two loops, as in a chain of two pipelines; the call advances the clock."""

    def __init__(self) -> None:
        self.now_ns = 1000
        self.syncs: list[int] = []

    def progress_bar(self, iterable: Any = None, total: int | None = None) -> Bar:  # noqa: ARG002 - diffusers' signature
        """Open a bar."""
        return Bar()

    def __call__(self) -> None:
        """Advance by 100 before, 5 + 3 in the first loop, 50 between, 2 in the second, 7 after."""
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
        """Log the time of a synchronization."""
        self.syncs.append(self.now_ns)


def test_only_loops_and_their_steps_are_timed() -> None:
    """Time before, between and after the loops is not counted; there is no synchronization between steps."""
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


def test_steps_are_timed_only_on_request() -> None:
    """Otherwise nothing is executed between steps."""
    pipeline = Pipeline()
    times = time_loop(pipeline, pipeline, synchronize=pipeline.synchronize, clock=pipeline.clock)

    assert (times.loop_ns, times.steps_ns) == (10, ())


def test_a_target_without_a_loop_has_no_times() -> None:
    """A bare callable, or a pipeline that never opens its progress bar."""
    device = TimedDevice(torch_device="cpu", synchronize=lambda: None, meter=None)

    assert time_loops(lambda: None, lambda: None, device=device, each_step=True) == []
    assert time_loops(Pipeline(), lambda: None, device=device, each_step=True) == []


def test_steps_on_an_accelerator_are_timed_with_events(monkeypatch: pytest.MonkeyPatch) -> None:
    """Events are recorded without synchronization, and elapsed milliseconds are converted to nanoseconds."""
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
