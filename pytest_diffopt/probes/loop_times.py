"""How long the denoise loop takes, and each step of it; in calls of their own, so that no counted call carries it."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import torch

from pytest_diffopt.probes.denoise_loop import has_denoise_loop, watch_denoise_loop
from pytest_diffopt.probes.timed_device import TimedDevice

_NS_PER_MS = 1e6
#: One call may be disturbed; of three the median is not.
_CALLS = 3


@dataclass(frozen=True, kw_only=True, slots=True)
class LoopTimes:
    """One call's denoise loop.

    Attributes:
        loop_ns: from the start of the first step to the end of the loop; over all loops where there are several.
        steps_ns: each step; empty unless asked for.
        num_steps: how many steps there were.
    """

    loop_ns: int
    steps_ns: tuple[int, ...]
    num_steps: int


class StepMarks(Protocol):
    """Marks moments between steps without holding the device up."""

    def mark(self) -> Any:
        """Mark this moment."""

    def between_ns(self, start: Any, end: Any) -> int:
        """Return the time between two marks, once the device has done its work."""


@dataclass(frozen=True, kw_only=True, slots=True)
class HostMarks:
    """Marks on a device whose work is done when a call returns."""

    clock: Callable[[], int]

    def mark(self) -> int:
        """Read the clock."""
        return self.clock()

    def between_ns(self, start: int, end: int) -> int:
        """Subtract."""
        return end - start


@dataclass(frozen=True, kw_only=True, slots=True)
class DeviceMarks:
    """Marks in the stream of an accelerator, which tells later when it came to them. Never run on a GPU so far."""

    device: torch.device

    def mark(self) -> Any:
        """Record an event behind everything that was asked of the device so far."""
        event = torch.Event(self.device, enable_timing=True)
        event.record()
        return event

    def between_ns(self, start: Any, end: Any) -> int:
        """Return the device's own time between two events."""
        return int(start.elapsed_time(end) * _NS_PER_MS)


def step_marks(device: torch.device | str, clock: Callable[[], int]) -> StepMarks:
    """Return the marks that fit a device."""
    device = torch.device(device)
    return HostMarks(clock=clock) if device.type == "cpu" else DeviceMarks(device=device)


def time_loops(target: Any, call: Callable[[], object], *, device: TimedDevice, each_step: bool) -> list[LoopTimes]:
    """Make a few calls and time the denoise loop of each; none where the target has no loop, or never opens it.

    Args:
        target: what is called.
        call: calls it.
        device: where it runs.
        each_step: time each step too.
    """
    if not has_denoise_loop(target):
        return []
    marks = step_marks(device.torch_device, time.perf_counter_ns) if each_step else None
    times = [
        time_loop(target, call, synchronize=device.synchronize, clock=time.perf_counter_ns, marks=marks)
        for _ in range(_CALLS)
    ]
    return [one for one in times if one.num_steps and one.loop_ns > 0]


def time_loop(
    pipeline: Any,
    call: Callable[[], object],
    *,
    synchronize: Callable[[], None],
    clock: Callable[[], int],
    marks: StepMarks | None = None,
) -> LoopTimes:
    """Make one call and time its denoise loop.

    Args:
        pipeline: what has the loop.
        call: calls it.
        synchronize: waits for the device: once before each loop and once after it, never between steps.
        clock: returns nanoseconds.
        marks: what marks each step; None times the loop alone.
    """
    watch = _LoopWatch(synchronize=synchronize, clock=clock, marks=marks)
    with watch_denoise_loop(pipeline, watch.on_step) as loop:
        call()
    return LoopTimes(loop_ns=watch.loop_ns, steps_ns=watch.steps_ns(), num_steps=loop.num_steps)


class _LoopWatch:
    """Reads the clock at both ends of every loop, and marks the steps between."""

    def __init__(self, *, synchronize: Callable[[], None], clock: Callable[[], int], marks: StepMarks | None) -> None:
        self.loop_ns = 0
        self._synchronize = synchronize
        self._clock = clock
        self._marks = marks
        self._start_ns: int | None = None
        self._marked: list[tuple[int | None, Any]] = []

    def on_step(self, step: int | None) -> None:
        """Take note that a step starts, or that the loop ended."""
        if self._start_ns is None and step is not None:
            self._synchronize()
            self._start_ns = self._clock()
        if self._marks is not None:
            self._marked.append((step, self._marks.mark()))
        if self._start_ns is not None and step is None:
            self._synchronize()
            self.loop_ns += self._clock() - self._start_ns
            self._start_ns = None

    def steps_ns(self) -> tuple[int, ...]:
        """Return the time of each finished step: what lies between its own start and that of the next."""
        if self._marks is None:
            return ()
        pairs = zip(self._marked, self._marked[1:], strict=False)
        return tuple(
            self._marks.between_ns(start, end)
            for (step, start), (following, end) in pairs
            if step is not None and following is not None and following > step
        )
