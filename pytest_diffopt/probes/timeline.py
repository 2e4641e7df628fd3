"""An estimated timeline of a call on the null GPU: host time as measured, device time by a model."""

import time
from collections import defaultdict
from collections.abc import Callable, Hashable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from statistics import median
from typing import Any

import torch

from pytest_diffopt.null_gpu.clock import Entry, EntryType, read_log, running
from pytest_diffopt.null_gpu.sync_lines import Sync, recording_syncs
from pytest_diffopt.null_gpu.timeline import Span, spans, sync_cost_ns
from pytest_diffopt.null_gpu.values.active import learning_work
from pytest_diffopt.probes.denoise_loop import DenoiseLoop, has_denoise_loop, watch_denoise_loop
from pytest_diffopt.probes.device_times import set_device_times
from pytest_diffopt.probes.host_time import timed_call
from pytest_diffopt.records import PhaseTimeline, Subject, SyncCost, TimelineRecord
from pytest_diffopt.records.denoise_phases import AFTER_LOOP, BEFORE_LOOP, WHOLE_CALL
from pytest_diffopt.simulated_gpu.cost.gpus import gpu_model_by_cuda_name

_LATER_STEPS = "later steps"
# The median of three calls is robust against one that was disturbed.
_CALLS = 3


@dataclass(kw_only=True)
class _Run:
    """One call on the clock.

    Attributes:
        log: what was enqueued and waited for.
        marks: the phases in order, each with its first position in the log and the machine's time; the last is the end.
        loop: the denoise loop, if there is one.
    """

    log: tuple[Entry, ...]
    marks: list[tuple[Hashable, int, int]]
    loop: DenoiseLoop | None

    @property
    def starts(self) -> list[tuple[int, int]]:
        """The beginnings of the phases, and the end."""
        return [(position, host_ns) for _phase, position, host_ns in self.marks]

    def total_ns(self) -> int:
        """Return the estimated duration of the call."""
        return sum(span.total_ns for span in spans(self.log, self.starts))


def estimate_timeline(target: Any, call: Callable[[], object], subject: Subject) -> TimelineRecord:
    """Make warm calls on the null GPU, and return the timeline of one with the median duration.

    Args:
        target: what is called, for its denoise loop.
        call: makes the call.
        subject: description of the target.

    Raises:
        NullGpuError: this process does not run on the null GPU, or a call enqueues other work than the one before.
        ProbeError: the pipeline never entered its denoise loop.
    """
    __tracebackhide__ = True
    gpu_model = gpu_model_by_cuda_name(torch.cuda.get_device_name())
    syncs: list[Sync] = []
    with timed_call(call) as timed:
        timed()
        with learning_work() as numbers, recording_syncs(syncs.append):
            timed()
            work = numbers()
        if gpu_model is not None:
            set_device_times(gpu_model)
        runs = sorted((_on_clock(target, timed, work) for _ in range(_CALLS)), key=_Run.total_ns)
    middle = runs[len(runs) // 2]
    launches = [one for one in middle.log if _is_launch(one)]
    return TimelineRecord(
        subject=subject,
        gpu_model=gpu_model.name if gpu_model else "",
        num_steps=middle.loop.num_steps if middle.loop else 0,
        phases=_phases(middle),
        syncs=_sync_costs(middle, syncs),
        launches=len(launches),
        without_model=sum(not one.device_ns for one in launches),
    )


def _is_launch(entry: Entry) -> bool:
    return entry.type in {EntryType.WORK, EntryType.GRAPH_WORK} and entry.name not in {"copy", "fill"}


def _on_clock(target: Any, timed: Callable[[], object], work: range) -> _Run:
    __tracebackhide__ = True
    marks: list[tuple[Hashable, int, int]] = []
    loop = None
    torch.cuda.synchronize()
    with ExitStack() as stack:
        length = stack.enter_context(running(work))

        def mark(phase: Hashable) -> None:
            marks.append((phase, length(), time.monotonic_ns()))

        mark(BEFORE_LOOP if has_denoise_loop(target) else WHOLE_CALL)
        if has_denoise_loop(target):
            loop = stack.enter_context(
                watch_denoise_loop(target, lambda step: mark(AFTER_LOOP if step is None else step))
            )
        timed()
        mark(None)
    return _Run(log=read_log(), marks=marks, loop=loop)


def _phases(run: _Run) -> tuple[PhaseTimeline, ...]:
    """Return the phases; the steps after the first one as one, with medians, because host times differ."""
    by_phase: defaultdict[str, list[Span]] = defaultdict(list)
    num_steps = run.loop.num_steps if run.loop else 0
    for (phase, _position, _time), span in zip(run.marks, spans(run.log, run.starts), strict=False):
        if isinstance(phase, int) and phase >= num_steps:
            continue  # what follows the last update of the progress bar is no step
        by_phase[_name(phase)].append(span)
    return tuple(_phase(name, found) for name, found in by_phase.items())


def _name(phase: Hashable) -> str:
    if isinstance(phase, int):
        return _LATER_STEPS if phase else "step 0"
    return str(phase)


def _phase(name: str, found: Sequence[Span]) -> PhaseTimeline:
    return PhaseTimeline(
        phase=name,
        host_ns=round(median(span.host_ns for span in found)),
        waited_ns=round(median(span.waited_ns for span in found)),
        busy_ns=round(median(span.busy_ns for span in found)),
        total_ns=round(median(span.total_ns for span in found)),
    )


def _sync_costs(run: _Run, seen: Sequence[Sync]) -> tuple[SyncCost, ...]:
    """Return the cost of each line's syncs inside the call; lines are unknown if the calls' syncs differ."""
    positions = [index for index, entry in enumerate(run.log) if entry.type is EntryType.SYNC]
    lines = (
        [str(sync.line or sync.thread) for sync in seen]
        if len(seen) == len(positions)
        else ["unknown"] * len(positions)
    )
    by_line: defaultdict[tuple[str, str], list[int]] = defaultdict(list)
    for position, line in zip(positions, lines, strict=True):
        by_line[line, run.log[position].name].append(position)
    costs = (
        SyncCost(where=line, api=api, count=len(found), cost_ns=sync_cost_ns(run.log, run.starts, found))
        for (line, api), found in by_line.items()
    )
    return tuple(sorted(costs, key=lambda one: -one.cost_ns))
