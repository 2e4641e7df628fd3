"""The denoise loop and the memory between calls, on the simulated GPU."""

from collections import defaultdict
from typing import Any

import torch

from benchmarks.atlas.entries import Holder, Loop, Memory, Place, SyncLine
from benchmarks.atlas.measured_call import MeasuredCall
from benchmarks.atlas.variations import another_prompt
from benchmarks.diffusers_tests.cases import seed
from pytest_diffopt.probes.calls import repeatable_call
from pytest_diffopt.probes.memory_growth import measure_growth_simulated
from pytest_diffopt.probes.syncs import watch_syncs
from pytest_diffopt.records import Device, ObservedSync, Subject
from pytest_diffopt.records.code_location import CodeLocation

_MOST_HOLDERS = 5


def measure_loop(measured: MeasuredCall) -> Loop:
    """Call a pipeline twice and return what its loop does in the second call, and what only the first one does."""
    pipeline, inputs = measured.build()
    seed()
    with torch.no_grad(), watch_syncs(pipeline, subject_of(pipeline)) as watch:
        call = repeatable_call(pipeline, (), watch.moved(inputs))
        call()
        watch.repeat(call)
        del call
    record = watch.record
    return Loop(
        num_steps=record.num_steps,
        syncs=_by_line(record.syncs, record.num_steps),
        first_call_syncs=len(record.first_call_syncs),
        operations=record.operations,
        bytes_to_device=record.bytes_to_device,
        bytes_to_host=record.bytes_to_host,
        unmodelled=record.unmodelled,
    )


def measure_memory(measured: MeasuredCall) -> Memory:
    """Call a pipeline with two prompts, if it accepts a second one, and return what stays."""
    pipeline, inputs = measured.build()
    other = another_prompt(inputs)
    calls = [("the call", inputs)]
    if other and measured.accepts(other):
        calls.append(("another prompt", other))
    seed()
    with torch.no_grad():
        record = measure_growth_simulated(pipeline, calls, subject_of(pipeline))
    settled, *_others, last = record.calls
    holders = [Holder(where=place(one.where), held_bytes=one.held_bytes) for one in record.holders]
    return Memory(
        calls=tuple(one.call for one in record.calls),
        growth_bytes=max(0, last.live_bytes - settled.live_bytes),
        holders=tuple(holders[:_MOST_HOLDERS]),
    )


def subject_of(pipeline: Any) -> Subject:
    """Return the subject of a record of a pipeline."""
    return Subject(pipeline=type(pipeline).__name__, device=Device.SIMULATED)


def place(where: CodeLocation) -> Place:
    """Return a location as the atlas has it."""
    return Place(file=where.file, line=where.line, function=where.function, source=where.source)


def _by_line(syncs: tuple[ObservedSync, ...], num_steps: int) -> tuple[SyncLine, ...]:
    counts: dict[tuple[Place, str, str], list[int]] = defaultdict(lambda: [0] * num_steps)
    for one in syncs:
        counts[place(one.where), one.operation, one.kind][one.step] += 1
    lines = [
        SyncLine(where=where, operation=operation, kind=kind, per_step=tuple(per_step))
        for (where, operation, kind), per_step in counts.items()
    ]
    return tuple(sorted(lines, key=lambda one: (-sum(one.per_step), one.where)))
