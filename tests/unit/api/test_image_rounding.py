"""Rounding is measured in as many calls as the verdict needs."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from pytest_diffopt.api.image_rounding import judge_by_samples
from pytest_diffopt.guards.image_thresholds import ImageThresholds
from pytest_diffopt.guards.verdict import Outcome
from pytest_diffopt.records import ImageDifference, ImageRecord, Subject

THRESHOLDS = ImageThresholds()


def record(psnr_db: float, *, max_error: float = 0.1) -> ImageRecord:
    """Return a comparison of one image."""
    difference = ImageDifference(ssim=0.99, psnr_db=psnr_db, max_error=max_error, mean_error=0.01, flip=0.02)
    return ImageRecord(subject=Subject(pipeline="sdxl"), differences=(difference,))


def test_one_sample_suffices_for_a_pass() -> None:
    """The reference is called once more, and not five times."""
    made: list[float] = []

    def samples() -> Iterator[ImageRecord]:
        for psnr_db in (40.0, 36.0, 30.0):
            made.append(psnr_db)
            yield record(psnr_db)

    judged, verdict = judge_by_samples(record(38.0), "bf16", samples(), THRESHOLDS)

    assert verdict.outcome is Outcome.PASSED
    assert made == [40.0]
    assert judged.noise is not None
    assert (judged.noise.samples, judged.noise.precision) == (1, "bf16")


def test_more_samples_are_made_before_a_failure() -> None:
    """The largest error of any sample counts, so the verdict does not depend on which comes first."""
    samples = [record(40.0), record(30.0), record(50.0)]

    for order in (samples, samples[::-1]):
        assert judge_by_samples(record(29.0), "bf16", iter(order), THRESHOLDS)[1].outcome is Outcome.PASSED
        judged, verdict = judge_by_samples(record(25.0), "bf16", iter(order), THRESHOLDS)
        assert verdict.outcome is Outcome.REGRESSED
        assert judged.noise is not None
        assert judged.noise.samples == 3


def judged_after(psnr_db: float, *, samples: int) -> tuple[Outcome, int]:
    """Judge by many samples of 40 dB and one of 35 dB as the seventh; return the outcome and the samples made."""
    made = 0

    def all_samples() -> Iterator[ImageRecord]:
        nonlocal made
        for number in range(samples):
            made += 1
            yield record(35.0 if number == 6 else 40.0)

    return judge_by_samples(record(psnr_db), "bf16", all_samples(), THRESHOLDS)[1].outcome, made


@pytest.mark.parametrize(
    ("psnr_db", "expected"),
    [
        pytest.param(32.0, (Outcome.PASSED, 7), id="the seventh sample explains it"),
        pytest.param(31.0, (Outcome.REGRESSED, 20), id="near, but no sample explains it"),
        pytest.param(30.0, (Outcome.REGRESSED, 5), id="more than twice the limit of five samples"),
    ],
)
def test_samples_after_the_fifth_are_made_for_an_error_near_the_limit(
    psnr_db: float, expected: tuple[Outcome, int]
) -> None:
    """The limit after five samples is 36.0 dB, and 31.0 dB after the seventh; 6 dB are a factor of two."""
    assert judged_after(psnr_db, samples=20) == expected


def test_a_defect_needs_no_more_samples() -> None:
    """Rounding does not explain NaN, however small the error of the other pixels is."""
    made = []

    def samples() -> Iterator[ImageRecord]:
        for number in range(20):
            made.append(number)
            yield record(40.0)

    (difference,) = record(50.0).differences
    broken = replace(record(50.0), differences=(replace(difference, defects=("NaN",)),))

    assert judge_by_samples(broken, "bf16", samples(), THRESHOLDS)[1].outcome is Outcome.REGRESSED
    assert len(made) == 5


def test_samples_that_are_not_finite_limit_nothing() -> None:
    """The fixed thresholds apply, and the failure shows why."""
    nan = replace(record(40.0, max_error=float("nan")))
    judged, verdict = judge_by_samples(record(20.0), "fp16", iter([nan]), THRESHOLDS)

    assert judged.noise is None
    assert verdict.explanation[1:3] == (
        "  image 0: PSNR 20.0 dB (at least 28 dB required)",
        "  the effect of rounding was not measured: the reference in fp16 is not finite",
    )
    assert judge_by_samples(record(30.0), "fp16", iter([nan]), THRESHOLDS)[1].outcome is Outcome.PASSED
