"""A profile on the null GPU as text or JSON."""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

from pytest_diffopt.guards.host_time import bound_text
from pytest_diffopt.profile.null_gpu import NullGpuProfile
from pytest_diffopt.profile.table import aligned, call_text, section
from pytest_diffopt.profile.target import Target
from pytest_diffopt.profile.units import shown_bytes, shown_seconds
from pytest_diffopt.records import PhaseKernels, PhaseTimeline, SyncCost, TimelineRecord
from pytest_diffopt.records.denoise_phases import single_steps

_HEADINGS = ("", "launches", "kernels", "library calls", "in graphs", "CUDA graphs", "copies", "copied", "peak memory")
_NOTES = (
    "peak memory: of tensors, above what was allocated before the call; host time: what this machine's CPU takes,",
    "without values; there is no GPU time",
)
_TIMELINE_HEADINGS = ("", "host", "blocked", "GPU busy", "GPU idle", "total")
_TIMELINE_NOTES = (
    "an estimate, no measurement of a GPU: host time of this machine without waiting; of the GPU the roofline of",
    "each operation, a lower bound, in the order of its streams",
)
_NS_PER_S = 1e9


def null_lines(profile: NullGpuProfile, target: Target, *, top: int) -> Iterator[str]:
    """Yield the lines of the report; each list shows at most `top` entries and the number of the rest."""
    record, host = profile.kernels, profile.host
    recipe = f"recipe {target.recipe}" if target.recipe else "no recipe"
    yield f"{target.name} ({target.origin}), {recipe}, {call_text(target)}"
    step, call = map(_time, (host.step_ns, host.call_ns))
    yield f"on {record.seen_by}: host time {call} a call, {step} a step"
    yield ""
    yield from aligned([_HEADINGS, *map(_row, record.phases)])
    yield ""
    yield from _NOTES
    if not record.is_settled:
        yield "each call launches something else; these are the figures of the last one"
    yield from timeline_lines(profile.timeline, top=top)
    yield from section("most launched kernels, in the whole call", _most(record.phases, "kernels"), top)
    yield from section("library calls, in the whole call", _most(record.phases, "library_calls"), top)
    yield from section("calls that the null GPU does not model", record.unmodelled, top)


def timeline_lines(timeline: TimelineRecord, *, top: int) -> Iterator[str]:
    """Yield the lines of an estimated timeline: a row for each phase, what bounds a step, and what each sync costs."""
    if not timeline.gpu_model:
        return
    yield ""
    yield f"estimated timeline on {timeline.gpu_model}:"
    yield from aligned([_TIMELINE_HEADINGS, *map(_timeline_row, timeline.phases)])
    yield ""
    yield from _TIMELINE_NOTES
    if timeline.without_model:
        yield f"{timeline.without_model:,} of {timeline.launches:,} launches have no model and count as 0"
    phase = _bounding(timeline)
    yield f"{phase.phase}: {bound_text(host_ns=phase.host_ns, device_ns=phase.busy_ns)}"
    yield from section("what the syncs of each line cost, by the estimate", map(_sync_line, timeline.syncs), top)


def _bounding(timeline: TimelineRecord) -> PhaseTimeline:
    """Return the phase that represents a step: the later steps, or what there is."""
    by_name = {phase.phase: phase for phase in timeline.phases}
    return next((by_name[name] for name in ("later steps", "step 0") if name in by_name), timeline.phases[0])


def _timeline_row(phase: PhaseTimeline) -> tuple[str, ...]:
    name = f"{phase.phase}, each" if phase.phase == "later steps" else phase.phase
    times = (phase.host_ns, phase.waited_ns, phase.busy_ns, phase.idle_ns, phase.total_ns)
    return (name, *map(_time, times))


def _sync_line(sync: SyncCost) -> str:
    return f"{_time(sync.cost_ns):>8}  {sync.where}  {sync.count} x {sync.api}"


def _time(nanoseconds: float) -> str:
    return shown_seconds(nanoseconds / _NS_PER_S)


def null_json(profile: NullGpuProfile, target: Target) -> str:
    """Return a profile as JSON, with sorted keys."""
    content = {
        "schema_version": 1,
        "pipeline": target.name,
        "origin": target.origin,
        "recipe": target.recipe,
        "gpu": profile.kernels.seen_by,
        "num_steps": profile.kernels.num_steps,
        "is_settled": profile.kernels.is_settled,
        "unmodelled": list(profile.kernels.unmodelled),
        "host": asdict(profile.host),
        "estimated_timeline": _timeline_document(profile.timeline),
        "phases": [_document(phase) for phase in profile.kernels.phases],
    }
    # the same text; a GitHub Actions runner reads `##[` as a command
    return json.dumps(content, indent=2, sort_keys=True).replace("##[", "\\u0023#[")


def _timeline_document(timeline: TimelineRecord) -> dict[str, Any]:
    return {name: value for name, value in asdict(timeline).items() if name != "subject"}


def _document(phase: PhaseKernels) -> dict[str, Any]:
    return asdict(phase) | {"launches": phase.launches}


def _row(phase: PhaseKernels) -> tuple[str, ...]:
    steps = len(single_steps(phase.phase))
    return (
        f"{phase.phase}, each" if steps > 1 else phase.phase,
        str(phase.launches),
        str(sum(phase.kernels.values())),
        str(sum(phase.library_calls.values())),
        str(phase.launches_in_graphs),
        str(phase.graph_launches),
        str(sum(phase.copies.values())),
        shown_bytes(sum(phase.copied_bytes.values())),
        shown_bytes(phase.peak_allocated_bytes),
    )


def _most(phases: Sequence[PhaseKernels], figure: str) -> Iterator[str]:
    totals: Counter[str] = Counter()
    for phase in phases:
        for name, number in getattr(phase, figure).items():
            totals[name] += number * len(single_steps(phase.phase))
    yield from (f"{number:>6} x  {name}" for name, number in totals.most_common())
