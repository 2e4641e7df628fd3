"""Time of the denoise loop and of each step, measured in separate calls so that counted calls have no overhead."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import torch

from pytest_diffopt.probes.denoise_loop import has_denoise_loop, watch_denoise_loop
from pytest_diffopt.probes.timed_device import TimedDevice

_NS_PER_MS = 1e6
#: The median of three calls is robust against one disturbed call.
_CALLS = 3


@dataclass(frozen=True, kw_only=True, slots=True)
class LoopTimes:
    """Times of the denoise loop in one call.

    Attributes:
        loop_ns: from the start of the first step to the end of the loop; summed over several loops.
        steps_ns: time of each step; empty unless requested.
        num_steps: number of steps.
    """

    loop_ns: int
    steps_ns: tuple[int, ...]
    num_steps: int


class StepMarks(Protocol):
    """Takes timestamps between steps without synchronizing the device."""

    def mark(self) -> Any:
        """Take a timestamp."""

    def between_ns(self, start: Any, end: Any) -> int:
        """Return the time between two timestamps; call it after a synchronization."""


@dataclass(frozen=True, kw_only=True, slots=True)
class HostMarks:
    """Timestamps for a synchronous device, such as the CPU."""

    clock: Callable[[], int]

    def mark(self) -> int:
        """Read the clock."""
        return self.clock()

    def between_ns(self, start: int, end: int) -> int:
        """Return the difference."""
        return end - start


@dataclass(frozen=True, kw_only=True, slots=True)
class DeviceMarks:
    """Timestamps as events in the stream of an accelerator. Not yet run on a GPU."""

    device: torch.device

    def mark(self) -> Any:
        """Record an event after all work that is queued on the current stream."""
        event = torch.Event(self.device, enable_timing=True)
        event.record()
        return event

    def between_ns(self, start: Any, end: Any) -> int:
        """Return the device time between two events."""
        return int(start.elapsed_time(end) * _NS_PER_MS)


def step_marks(device: torch.device | str, clock: Callable[[], int]) -> StepMarks:
    """Return the timestamps for a device."""
    device = torch.device(device)
    return HostMarks(clock=clock) if device.type == "cpu" else DeviceMarks(device=device)


def time_loops(target: Any, call: Callable[[], object], *, device: TimedDevice, each_step: bool) -> list[LoopTimes]:
    """Make three calls, and time the denoise loop of each; return an empty list for a target without a loop.

    Args:
        target: the called pipeline.
        call: calls it.
        device: the device on which it runs.
        each_step: also time each step.
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
    """Make one call, and time its denoise loop.

    Args:
        pipeline: the called pipeline.
        call: calls it.
        synchronize: blocks until the device is idle; called once before and once after each loop, never between steps.
        clock: clock in nanoseconds.
        marks: takes a timestamp at each step; None measures the loop only.
    """
    watch = _LoopWatch(synchronize=synchronize, clock=clock, marks=marks)
    with watch_denoise_loop(pipeline, watch.on_step) as loop:
        call()
    return LoopTimes(loop_ns=watch.loop_ns, steps_ns=watch.steps_ns(), num_steps=loop.num_steps)


class _LoopWatch:
    """Reads the clock at both ends of every loop, and takes a timestamp at each step."""

    def __init__(self, *, synchronize: Callable[[], None], clock: Callable[[], int], marks: StepMarks | None) -> None:
        self.loop_ns = 0
        self._synchronize = synchronize
        self._clock = clock
        self._marks = marks
        self._start_ns: int | None = None
        self._marked: list[tuple[int | None, Any]] = []

    def on_step(self, step: int | None) -> None:
        """Handle the start of a step, or the end of the loop (None)."""
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
        """Return the time of each finished step, from its start to the start of the next."""
        if self._marks is None:
            return ()
        pairs = zip(self._marked, self._marked[1:], strict=False)
        return tuple(
            self._marks.between_ns(start, end)
            for (step, start), (following, end) in pairs
            if step is not None and following is not None and following > step
        )
