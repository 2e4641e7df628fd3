"""Profiles one call of a pipeline on the null GPU: what each phase launches, host time, and an estimated timeline."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from statistics import median
from typing import Any

from pytest_diffopt.environment import gpu_name
from pytest_diffopt.null_gpu.values.computing import Values, computing
from pytest_diffopt.probes.calls import repeatable_call
from pytest_diffopt.probes.denoise_loop import watch_denoise_loop
from pytest_diffopt.probes.host_time import timed_call
from pytest_diffopt.probes.kernels import count_kernels
from pytest_diffopt.probes.timeline import estimate_timeline
from pytest_diffopt.profile.target import Target
from pytest_diffopt.records import Device, KernelRecord, Subject, TimelineRecord

# Values are computed in the first two calls; the median of three more is robust against one disturbed call.
_UNTIMED_CALLS = 2
_TIMED_CALLS = 3


@dataclass(frozen=True, kw_only=True, slots=True)
class HostTimes:
    """Host time of a call in nanoseconds, the median of several calls.

    Attributes:
        call_ns: the whole call.
        step_ns: one denoise step.
    """

    call_ns: int
    step_ns: int


@dataclass(frozen=True, kw_only=True, slots=True)
class NullGpuProfile:
    """One call of a pipeline on the null GPU.

    Attributes:
        kernels: what each phase launches.
        host: its host time.
        timeline: its estimated timeline.
    """

    kernels: KernelRecord
    host: HostTimes
    timeline: TimelineRecord


def profile_call_on_null_gpu(find: Callable[[], Target]) -> tuple[Target, NullGpuProfile]:
    """Build a pipeline on the null GPU, and profile one call of it.

    Args:
        find: builds the target on the GPU.

    Raises:
        NullGpuError: this process does not run on the null GPU.
        ProbeError: the pipeline has no denoise loop.
    """
    with computing(Values.SMALL):
        target = find()
        call = repeatable_call(target.pipeline, (), target.inputs)
        subject = Subject(pipeline=target.name, recipe=target.recipe, device=Device.NULL_GPU)
        kernels = count_kernels(target.pipeline, call, subject, seen_by=gpu_name())
        host = _host_times(target.pipeline, call)
        timeline = estimate_timeline(target.pipeline, call, subject)
        return target, NullGpuProfile(kernels=kernels, host=host, timeline=timeline)


def _host_times(pipeline: Any, call: Callable[[], object]) -> HostTimes:
    calls: list[int] = []
    steps: list[int] = []
    with timed_call(call) as timed:
        for _ in range(_UNTIMED_CALLS):
            timed()
        for _ in range(_TIMED_CALLS):
            call_ns, marks = _timed(pipeline, timed)
            calls.append(call_ns)
            # the last mark is the end of the loop
            steps += [later - earlier for earlier, later in pairwise(marks[:-1])]
    return HostTimes(call_ns=round(median(calls)), step_ns=round(median(steps)))


def _timed(pipeline: Any, call: Callable[[], object]) -> tuple[int, list[int]]:
    """Return the time of a call, and when each of its steps began and its loop ended, in nanoseconds."""
    marks: list[int] = []

    def mark(_step: int | None) -> None:
        marks.append(time.perf_counter_ns())

    start_ns = time.perf_counter_ns()
    with watch_denoise_loop(pipeline, mark):
        call()
    return time.perf_counter_ns() - start_ns, marks
