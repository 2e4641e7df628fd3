"""Charts and grouped syncs of the page are correct, also for records without values."""

import math
from dataclasses import replace

import pytest

from pytest_diffopt.guards.verdict import Outcome, Verdict
from pytest_diffopt.records import (
    AudioDifference,
    CalibrationRecord,
    Concern,
    ImageDifference,
    ImageRecord,
    LatencyRecord,
    PairedRecord,
    RatioRecord,
    Record,
    StepDrift,
    SyncRecord,
    VideoDifference,
)
from pytest_diffopt.reports.page.cases import cases_of
from pytest_diffopt.reports.page.details import (
    details_of,
    drift_charts,
    frame_charts,
    latency_chart,
    sync_places,
    waveform_chart,
)
from tests.unit.reports.report_examples import GATE, MS, NO_GPUS, ON_GPU, SDXL, STEP, latency, paired, syncs

EMPTY_VERDICT = Verdict(concern=Concern.LATENCY, outcome=Outcome.PASSED, subject=SDXL, summary="")
OUTSIDE = replace(EMPTY_VERDICT, concern=Concern.IMAGES, figures={"first_step_outside": 2})


def test_syncs_are_grouped_by_line() -> None:
    """The most frequent line comes first, with counts of the first and of later steps."""
    (case,) = cases_of([syncs(per_step=3, num_steps=4)], NO_GPUS)
    assert isinstance(case.record, SyncRecord)
    first, second = sync_places(case.record.syncs)

    assert (first.sync.where, first.count, first.in_first, first.in_later) == (GATE, 8, 2, 2)
    assert (second.sync.where, second.count, second.in_first, second.in_later) == (STEP, 4, 1, 1)
    assert details_of(case.record, case.verdict)["per_step"] == [3, 3, 3, 3]


def test_the_latency_chart_shows_each_call_and_the_accepted_range() -> None:
    """Warm-up and counted calls are separate series; the band is the tolerance of the guard."""
    (case,) = cases_of([latency(milliseconds=2410)], NO_GPUS)
    assert isinstance(case.record, LatencyRecord)
    found = latency_chart(case.record, case.verdict)

    assert found is not None
    assert [(one.kind, len(one.dots)) for one in found.series] == [("warmup", 1), ("sample", 8)]
    assert found.band_name == "accepted 2.20 s, up to 2.31 s allowed"
    assert all(dot.y < found.band_top for dot in found.series[1].dots)


def test_throttled_calls_are_a_separate_series() -> None:
    """They are excluded from the samples."""
    record = LatencyRecord(subject=ON_GPU, warmup_ns=(), samples_ns=(2 * MS,), throttled_ns=(9 * MS,))
    found = latency_chart(record, EMPTY_VERDICT)

    assert found is not None
    assert [one.kind for one in found.series] == ["sample", "throttled"]
    assert found.band_name == ""


def test_the_paired_chart_shows_relative_changes() -> None:
    """The band is the margin."""
    (case,) = cases_of([paired(0.04)], NO_GPUS)
    found = details_of(case.record, case.verdict)["chart"]

    assert found.band_name == "up to +1.0 % allowed"
    assert found.series[0].dots[0].text == "block: +4.0 %"


@pytest.mark.parametrize(
    "record",
    [
        LatencyRecord(subject=ON_GPU, warmup_ns=(), samples_ns=()),
        PairedRecord(subject=ON_GPU, base="main", head="head", lacking="base"),
        CalibrationRecord(subject=ON_GPU, repeats=1, pairs=(), spent_seconds=0.0),
        RatioRecord(subject=ON_GPU, reference=SDXL, subject_ns=(), reference_ns=()),
    ],
    ids=lambda record: type(record).__name__,
)
def test_without_a_sample_there_is_no_chart(record: Record) -> None:
    """The page can be written even if nothing was timed."""
    assert details_of(record, EMPTY_VERDICT)["chart"] is None


def test_drift_charts_show_each_step() -> None:
    """One chart of the relative error and one of the cosine, with a series of the steps outside of the corridor."""
    drift = tuple(StepDrift(step=step, cosine=1 - step / 100, relative_error=step / 10) for step in range(3))
    error, cosine = drift_charts(ImageRecord(subject=SDXL, differences=(), drift=drift), OUTSIDE)

    assert [dot.text for dot in error.series[0].dots] == [
        "after the step: 0.0 %",
        "after the step: 10.0 %",
        "after the step: 20.0 %",
    ]
    assert [dot.text for dot in cosine.series[0].dots][-1] == "after the step: 0.98000"
    assert error.series[0].line
    assert [dot.text for dot in error.series[1].dots] == ["outside of the corridor: 20.0 %"]


def test_values_that_are_not_finite_are_excluded_from_the_line() -> None:
    """Without a finite value, the series is named `not finite`."""
    whole = StepDrift(step=0, cosine=1.0, relative_error=0.0)
    broken = StepDrift(step=1, cosine=math.nan, relative_error=math.inf)
    mixed = drift_charts(ImageRecord(subject=SDXL, differences=(), drift=(whole, broken)), EMPTY_VERDICT)
    nothing = drift_charts(
        ImageRecord(subject=SDXL, differences=(), drift=(broken, replace(broken, step=2))), EMPTY_VERDICT
    )

    assert [len(one.series[0].dots) for one in mixed] == [1, 1]
    assert [one.series[0].name for one in nothing] == ["not finite", "not finite"]


def test_without_recorded_latents_there_is_no_drift_chart() -> None:
    """A record of images alone has no drift."""
    assert drift_charts(ImageRecord(subject=SDXL, differences=()), EMPTY_VERDICT) == []


def test_each_video_has_a_chart_of_its_frames() -> None:
    """With the frames' own numbers; a frame without a figure is left out."""
    similar = (0.99, 0.5, math.nan, 0.98)
    frames = [ImageDifference(ssim=ssim, psnr_db=30, max_error=0, mean_error=0, flip=0) for ssim in similar]
    video = VideoDifference(
        num_frames=3,
        reference_num_frames=3,
        height=16,
        width=16,
        reference_height=16,
        reference_width=16,
        frames=(0, 2),
    )
    videos = (video, replace(video, frames=(1, 2)))
    record = ImageRecord(subject=SDXL, differences=tuple(frames), videos=videos)
    first, second = frame_charts(record)

    assert (first.title, second.title) == ("SSIM of each frame, video 0", "SSIM of each frame, video 1")
    assert [dot.text for dot in first.series[0].dots] == ["frame: 0.9900", "frame: 0.5000"]
    assert [dot.text for dot in second.series[0].dots] == ["frame: 0.9800"]
    assert details_of(record, OUTSIDE)["names"][1] == "video 0, frame 2"
    assert details_of(record, OUTSIDE)["worst"] == 2
    assert frame_charts(replace(record, videos=())) == []


@pytest.mark.parametrize(("rate_hz", "unit"), [(1000, "seconds"), (0, "sample")])
def test_audio_has_a_chart_of_its_loudness(rate_hz: int, unit: str) -> None:
    """Beside that of the reference, over time where the rate is known."""
    audio = AudioDifference(
        num_samples=2000,
        reference_num_samples=2000,
        sampling_rate_hz=rate_hz,
        reference_sampling_rate_hz=rate_hz,
        snr_db=3.0,
        spectral_distance=0.5,
        envelope=(0.0, 0.5),
        reference_envelope=(0.5, 0.0),
    )
    drawn = waveform_chart(audio, 0)

    assert drawn.x_label == unit
    assert [one.name for one in drawn.series] == ["reference", "audio"]
    assert [dot.text for dot in drawn.series[1].dots] == ["audio: 0", "audio: 0.5"]
