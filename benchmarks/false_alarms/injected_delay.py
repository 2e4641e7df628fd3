"""Inject a slowdown of a known size: a delay in each denoise step.

This file is copied next to the timed tests, so it imports nothing from this repository.

On a CPU the delay is a busy loop measured in the thread's CPU time, so preemption by another process does not shorten
it. Each delay is a share of the CPU time since the previous step, so it grows with everything that slows the call. The
first step's share covers the beginning of the call and the end of the previous call.

On a GPU a CPU delay would be hidden, because the CPU runs ahead of the GPU. There a kernel keeps the stream busy
between two steps. The null GPU executes no kernel and what is timed there is the host, so it gets the delay of a CPU.

`torch.cuda._sleep` is private, and has this name in torch 2.11, 2.12 and 2.13. torch has no public function that keeps
a stream busy for a given time.
"""

import os
import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any

import torch

# Set in each process on the null GPU.
_NULL_GPU = "DIFFOPT_NULL_GPU_DEVICE"
_WARMUP_CALLS = 5
_TIMED_CALLS = 15
# About a millisecond: far above the resolution of an event, and short compared with a step.
_CALIBRATION_CYCLES = 2_000_000
_NS_PER_MS = 1e6

_Inputs = Mapping[str, Any]


def inject(pipeline: Any, inputs: _Inputs, *, share: float) -> None:
    """Delay each step of a pipeline's scheduler, so that a call takes longer by a share of its time.

    Args:
        pipeline: a diffusers pipeline, on the device on which it is timed.
        inputs: keywords of its call.
        share: total delay as a fraction of the call's time, distributed over the steps.
    """
    if pipeline.device.type == "cuda" and not os.environ.get(_NULL_GPU):
        _inject_on_gpu(pipeline, inputs, share)
    else:
        _after_each_step(pipeline, cpu_delay(share))


def _inject_on_gpu(pipeline: Any, inputs: _Inputs, share: float) -> None:
    call_ns, steps = _measured(pipeline, inputs)
    cycles = round(share * call_ns / steps * _cycles_per_ns(pipeline, inputs))
    _after_each_step(pipeline, lambda: _keep_gpu_busy(cycles))


def _measured(pipeline: Any, inputs: _Inputs) -> tuple[float, int]:
    """Return the time of a warm call in nanoseconds, and its number of steps."""
    for _ in range(_WARMUP_CALLS):
        pipeline(**inputs)
    took_ns, steps = [], 0

    def count() -> None:
        nonlocal steps
        steps += 1

    _after_each_step(pipeline, count)
    for _ in range(_TIMED_CALLS):
        steps = 0
        start_ns = _gpu_ns()
        pipeline(**inputs)
        took_ns.append(_gpu_ns() - start_ns)
    return statistics.median(took_ns), steps


def _after_each_step(pipeline: Any, do: Callable[[], None]) -> None:
    """Call `do` after each scheduler step; this replaces an earlier `do`."""
    step = type(pipeline.scheduler).step

    def stepped(*args: Any, **keywords: Any) -> Any:
        output = step(pipeline.scheduler, *args, **keywords)
        do()
        return output

    pipeline.scheduler.step = stepped


def cpu_delay(share: float) -> Callable[[], None]:
    """Return a function that keeps this thread busy for a share of the CPU time since it was called last."""
    last_ns = time.thread_time_ns()

    def delay() -> None:
        nonlocal last_ns
        now_ns = time.thread_time_ns()
        end_ns = now_ns + share * (now_ns - last_ns)
        while time.thread_time_ns() < end_ns:
            pass
        last_ns = time.thread_time_ns()

    return delay


def _gpu_ns() -> int:
    torch.cuda.synchronize()
    return time.perf_counter_ns()


def _cycles_per_ns(pipeline: Any, inputs: _Inputs) -> float:
    """Measure the GPU's clock within real calls: under load it differs from the idle clock."""
    spans: list[tuple[Any, Any]] = []

    def sleep_between_events() -> None:
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
        start.record()
        _keep_gpu_busy(_CALIBRATION_CYCLES)
        end.record()
        spans.append((start, end))

    _after_each_step(pipeline, sleep_between_events)
    for _ in range(_WARMUP_CALLS):
        pipeline(**inputs)
    torch.cuda.synchronize()
    took_ms: float = statistics.median(start.elapsed_time(end) for start, end in spans)
    return _CALIBRATION_CYCLES / (_NS_PER_MS * took_ms)


def _keep_gpu_busy(cycles: int) -> None:
    torch.cuda._sleep(cycles)  # type: ignore[no-untyped-call]  # noqa: SLF001 - see the module's docstring
