"""Data that the templates show in addition to a record: charts, and syncs grouped by line."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import singledispatch
from typing import Any

from pytest_diffopt.guards.failure_text import change, factor, percent, time
from pytest_diffopt.guards.paired_latency import log_ratio
from pytest_diffopt.guards.verdict import Verdict
from pytest_diffopt.guards.videos import frame_names, worst_frame
from pytest_diffopt.records import (
    AudioDifference,
    CalibrationRecord,
    ImageRecord,
    LatencyRecord,
    ObservedSync,
    PairedRecord,
    RatioRecord,
    Record,
    SyncRecord,
)
from pytest_diffopt.reports.page.charts import Band, Chart, Series, Write, chart

# More bars would be too narrow to see.
_MOST_STEPS = 200


@dataclass(frozen=True, kw_only=True, slots=True)
class SyncPlace:
    """The syncs of one line of code.

    Attributes:
        sync: the first of them.
        count: their number.
        in_first: their number in the first step.
        in_later: their largest number in any later step.
    """

    sync: ObservedSync
    count: int
    in_first: int
    in_later: int


@singledispatch
def details_of(record: Record, verdict: Verdict) -> dict[str, Any]:
    """Return the data that the template of a record shows in addition to the record."""
    del record, verdict
    return {}


@details_of.register
def _(record: SyncRecord, verdict: Verdict) -> dict[str, Any]:
    del verdict
    per_step = Counter(sync.step for sync in record.syncs)
    return {
        "places": sync_places(record.syncs),
        "per_step": [per_step[step] for step in range(min(record.num_steps, _MOST_STEPS))],
        "most": max(per_step.values(), default=0),
    }


def sync_places(syncs: Sequence[ObservedSync]) -> list[SyncPlace]:
    """Group syncs by line, operation and kind, the most frequent first."""
    groups: dict[tuple[Any, str, str], list[ObservedSync]] = {}
    for sync in syncs:
        groups.setdefault((sync.where, sync.operation, sync.kind), []).append(sync)
    places = [_place(group) for group in groups.values()]
    return sorted(places, key=lambda place: place.count, reverse=True)


def _place(syncs: Sequence[ObservedSync]) -> SyncPlace:
    per_step = Counter(sync.step for sync in syncs)
    later = [count for step, count in per_step.items() if step > 0]
    return SyncPlace(sync=syncs[0], count=len(syncs), in_first=per_step[0], in_later=max(later, default=0))


@details_of.register
def _(record: LatencyRecord, verdict: Verdict) -> dict[str, Any]:
    return {"chart": latency_chart(record, verdict)}


def latency_chart(record: LatencyRecord, verdict: Verdict) -> Chart | None:
    """Chart the time of every call and the accepted range; None if no call was timed."""
    calls = [("warm-up", "warmup", record.warmup_ns), ("counted call", "sample", record.samples_ns)]
    calls.append(("throttled", "throttled", record.throttled_ns))
    series, begin = [], 1
    for name, kind, values in calls:
        series.append(Series(name=name, kind=kind, points=[*enumerate(values, start=begin)]))
        begin += len(values)
    if begin == 1:
        return None
    return chart("Time of each call", series, write=time, x_label="call", band=_accepted(verdict))


def _accepted(verdict: Verdict) -> Band | None:
    figures = verdict.figures
    if "accepted_median_ns" not in figures or "tolerance_ns" not in figures:
        return None
    centre, tolerance = figures["accepted_median_ns"], figures["tolerance_ns"]
    name = f"accepted {time(centre)}, up to {time(centre + tolerance)} allowed"
    return Band(low=centre - tolerance, high=centre + tolerance, centre=centre, name=name)


@details_of.register
def _(record: PairedRecord, verdict: Verdict) -> dict[str, Any]:
    return {"chart": paired_chart(record, verdict)}


def paired_chart(record: PairedRecord, verdict: Verdict) -> Chart | None:
    """Chart the slowdown of head in each block; None if no block was timed."""
    if not record.blocks:
        return None
    points = [(float(number), math.expm1(log_ratio(block))) for number, block in enumerate(record.blocks, start=1)]
    margin = verdict.figures.get("margin")
    band = Band(low=-margin, high=margin, centre=0.0, name=f"up to {change(margin)} allowed") if margin else None
    blocks = Series(name="block", kind="sample", points=points)
    return chart("Head relative to base", [blocks], write=change, x_label="block", band=band, includes=(0.0,))


@details_of.register
def _(record: CalibrationRecord, verdict: Verdict) -> dict[str, Any]:
    del verdict
    series, begin = [], 1
    for number, blocks in enumerate(record.pairs, start=1):
        points = [(float(at), math.expm1(log_ratio(block))) for at, block in enumerate(blocks, start=begin)]
        series.append(Series(name=f"pair {number}", kind=f"pair{number % 3}", points=points))
        begin += len(blocks)
    if begin == 1:
        return {"chart": None}
    title = "The same code compared with itself"
    return {"chart": chart(title, series, write=change, x_label="block", includes=(0.0,))}


@details_of.register
def _(record: RatioRecord, verdict: Verdict) -> dict[str, Any]:
    del verdict
    rounds = zip(record.reference_ns, record.subject_ns, strict=False)
    points = [(float(number), reference / subject) for number, (reference, subject) in enumerate(rounds, start=1)]
    if not points:
        return {"chart": None}
    series = [Series(name="round", kind="sample", points=points)]
    return {"chart": chart("Times as fast", series, write=factor, x_label="round", includes=(1.0,))}


@details_of.register
def _(record: ImageRecord, verdict: Verdict) -> dict[str, Any]:
    return {
        "drift": drift_charts(record, verdict),
        "names": frame_names(record),
        "frames": frame_charts(record),
        "waveforms": [waveform_chart(one, number) for number, one in enumerate(record.audio)],
        "worst": worst_frame(record.differences) if record.differences else 0,
    }


def frame_charts(record: ImageRecord) -> list[Chart]:
    """Chart the structural similarity of each frame of each video; empty for images."""
    charts, begin = [], 0
    for number, video in enumerate(record.videos):
        differences = record.differences[begin : begin + len(video.frames)]
        begin += len(video.frames)
        points = [(float(frame), one.ssim) for frame, one in zip(video.frames, differences, strict=True)]
        finite = [point for point in points if math.isfinite(point[1])]
        if finite:
            title = "SSIM of each frame" + (f", video {number}" if len(record.videos) > 1 else "")
            series = [Series(name="frame", kind="drift", points=finite, is_line=True)]
            charts.append(chart(title, series, write="{:.4f}".format, x_label="frame", includes=(1.0,)))
    return charts


def waveform_chart(audio: AudioDifference, number: int) -> Chart:
    """Chart the loudness of a waveform and of its reference over time."""
    envelopes = (("reference", "sample", audio.reference_envelope), ("audio", "drift", audio.envelope))
    length_s = audio.num_samples / audio.sampling_rate_hz if audio.sampling_rate_hz else float(audio.num_samples)
    series = [
        Series(
            name=name,
            kind=kind,
            points=[(length_s * at / len(envelope), value) for at, value in enumerate(envelope)],
            is_line=True,
        )
        for name, kind, envelope in envelopes
    ]
    unit = "seconds" if audio.sampling_rate_hz else "sample"
    title = f"Root mean square of waveform {number}"
    return chart(title, series, write="{:.3g}".format, x_label=unit, includes=(0.0,))


def drift_charts(record: ImageRecord, verdict: Verdict) -> list[Chart]:
    """Chart the drift of the latents from their reference at each step; empty without recorded latents."""
    if not record.drift:
        return []
    outside = verdict.figures.get("first_step_outside", math.inf)
    errors = [(float(drift.step), drift.relative_error) for drift in record.drift]
    cosines = [(float(drift.step), drift.cosine) for drift in record.drift]
    return [
        _drift_chart("Latents: relative error", errors, percent, ideal=0.0, outside=outside),
        _drift_chart("Latents: cosine", cosines, "{:.5f}".format, ideal=1.0, outside=outside),
    ]


def _drift_chart(
    title: str, points: Sequence[tuple[float, float]], write: Write, *, ideal: float, outside: float
) -> Chart:
    """Chart one measure of drift.

    Args:
        title: title of the chart.
        points: step and value of each point.
        write: formats a value.
        ideal: the value of equal latents.
        outside: the first step outside of the corridor.
    """
    finite = [point for point in points if math.isfinite(point[1])]
    series = [
        Series(name="after the step", kind="drift", points=finite, is_line=True),
        Series(
            name="outside of the corridor", kind="outside", points=[point for point in finite if point[0] >= outside]
        ),
    ]
    if not finite:
        series = [Series(name="not finite", kind="outside", points=[(place, ideal) for place, _ in points])]
    return chart(title, series, write=write, x_label="denoise step", includes=(ideal,))
