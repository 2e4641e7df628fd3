"""A slowdown of a known size: each denoise step waits. Copied beside the tests that are timed, so it is on its own.

On a CPU the processor waits, in its own time, so that the wait is as long when another process has its turn meanwhile:
each step for a share of what was computed since the step before it, so that whatever slows the call down makes the wait
as much longer. Before the first step of a call lie its beginning and the end of the call before.

On a GPU that would be hidden: the processor is ahead of the GPU and waits for it anyway. There the GPU waits, in its
stream, between the kernels of two steps.

`torch.cuda._sleep` is private to torch, and has this name in 2.11, 2.12 and 2.13. Nothing public makes a stream wait
for a given time.
"""

import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any

import torch

_WARMUP_CALLS = 5
_TIMED_CALLS = 15
# A millisecond or so: far above what an event resolves, and little beside a step.
_CALIBRATION_CYCLES = 2_000_000
_NS_PER_MS = 1e6

_Inputs = Mapping[str, Any]


def inject(pipeline: Any, inputs: _Inputs, *, share: float) -> None:
    """Make each step of a pipeline's scheduler wait, so that a call takes longer by a share of what it takes now.

    Args:
        pipeline: a diffusers pipeline, where it will be timed.
        inputs: keywords of its call.
        share: of the call's time, as a fraction; the steps wait for equal parts of it.
    """
    if pipeline.device.type == "cuda":
        _plant_on_gpu(pipeline, inputs, share)
    else:
        _after_each_step(pipeline, _processor_wait(share))


def _plant_on_gpu(pipeline: Any, inputs: _Inputs, share: float) -> None:
    call_ns, steps = _measured(pipeline, inputs)
    cycles = round(share * call_ns / steps * _cycles_per_ns(pipeline, inputs))
    _after_each_step(pipeline, lambda: _keep_gpu_busy(cycles))


def _measured(pipeline: Any, inputs: _Inputs) -> tuple[float, int]:
    """Return how long a warm call takes, and how many steps it makes."""
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
    """Let the scheduler do something after each step, in place of what it was told before."""
    step = type(pipeline.scheduler).step

    def stepped(*args: Any, **keywords: Any) -> Any:
        output = step(pipeline.scheduler, *args, **keywords)
        do()
        return output

    pipeline.scheduler.step = stepped


def _processor_wait(share: float) -> Callable[[], None]:
    last_ns = time.thread_time_ns()

    def wait() -> None:
        nonlocal last_ns
        now_ns = time.thread_time_ns()
        end_ns = now_ns + share * (now_ns - last_ns)
        while time.thread_time_ns() < end_ns:
            pass
        last_ns = time.thread_time_ns()

    return wait


def _gpu_ns() -> int:
    torch.cuda.synchronize()
    return time.perf_counter_ns()


def _cycles_per_ns(pipeline: Any, inputs: _Inputs) -> float:
    """Find how long the GPU waits for a cycle, in the loop of real calls: under load its clock is another."""
    spans: list[tuple[Any, Any]] = []

    def wait_between_events() -> None:
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
        start.record()
        _keep_gpu_busy(_CALIBRATION_CYCLES)
        end.record()
        spans.append((start, end))

    _after_each_step(pipeline, wait_between_events)
    for _ in range(_WARMUP_CALLS):
        pipeline(**inputs)
    torch.cuda.synchronize()
    took_ms: float = statistics.median(start.elapsed_time(end) for start, end in spans)
    return _CALIBRATION_CYCLES / (_NS_PER_MS * took_ms)


def _keep_gpu_busy(cycles: int) -> None:
    torch.cuda._sleep(cycles)  # type: ignore[no-untyped-call]  # noqa: SLF001 - as the module says
