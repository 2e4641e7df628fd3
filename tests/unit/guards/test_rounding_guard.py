"""Rounding excuses a difference only of the size that it was measured to give."""

import math
from dataclasses import replace

import pytest

from pytest_diffopt.guards.image_thresholds import ImageThresholds
from pytest_diffopt.guards.images import judge_images
from pytest_diffopt.guards.rounding import USE_A_STABLE_CALL, noise_of, unless_rounding_decides
from pytest_diffopt.guards.verdict import Outcome, Verdict
from pytest_diffopt.records import (
    ErrorSize,
    ImageDifference,
    ImageRecord,
    LatentDifference,
    RoundingNoise,
    StepDrift,
)
from tests.unit.guards.guard_examples import SEEN, SUBJECT


def drawn(  # noqa: PLR0913 - one for each figure
    *drift: float,
    ssim: float = 0.99,
    psnr_db: float = 40.0,
    max_error: float = 0.1,
    mean_error: float = 0.01,
    lpips: float | None = None,
    bias: float = 0.0,
    defects: tuple[str, ...] = (),
) -> ImageRecord:
    """Return a comparison with these latent errors after each step, and these figures of the image."""
    difference = ImageDifference(
        ssim=ssim,
        psnr_db=psnr_db,
        max_error=max_error,
        mean_error=mean_error,
        flip=0.02,
        lpips=lpips,
        bias=bias,
        defects=defects,
    )
    steps = tuple(StepDrift(step=step, cosine=1.0, relative_error=error) for step, error in enumerate(drift))
    return ImageRecord(subject=SUBJECT, differences=(difference,), drift=steps)


#: Two calls of the reference in bfloat16: in one of them the image falls apart.
SAMPLES = (drawn(0.02, 0.05), drawn(0.015, 0.2, ssim=0.7, psnr_db=26.0, max_error=0.3))


def judge(
    record: ImageRecord, thresholds: ImageThresholds | None = None, samples: tuple[ImageRecord, ...] = SAMPLES
) -> Verdict:
    """Judge an image by the samples."""
    known = replace(record, noise=noise_of("bf16", samples))
    thresholds = thresholds or ImageThresholds()
    verdict = judge_images(known, thresholds)
    return unless_rounding_decides(verdict, known, samples, thresholds) if verdict.is_failure else verdict


def test_the_noise_is_the_largest_of_each_figure() -> None:
    """Of different samples; PSNR becomes an RMS error."""
    noise = noise_of(
        "bf16", [drawn(0.02, 0.05, bias=-0.002), drawn(0.015, 0.2, psnr_db=20.0, max_error=0.3, bias=0.001)]
    )

    assert noise == RoundingNoise(
        precision="bf16",
        samples=2,
        images=(ErrorSize(max_error=0.3, rms_error=math.pow(10, -1), bias=0.002),),
        step_errors=(0.02, 0.2),
    )


def test_an_image_that_rounding_decides_is_inconclusive() -> None:
    """The lines show the figures of both, and which calls can be tested instead."""
    verdict = judge(drawn(0.02, 0.2, ssim=0.8))

    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert not verdict.is_failure
    assert verdict.explanation == (
        "diffopt: rounding decides this image, so this comparison proves nothing",
        "  image 0: SSIM 0.8000 (at least 0.94 required)",
        "  the latents of all 2 steps agree: the images differ after the last step",
        "  1 of 2 calls that only round reach half of the thresholds: SSIM 0.7000, relative latent error 0.2000",
        "  rounding alone, bf16 in 2 calls: PSNR 26.0 dB, largest error 0.3000, relative latent error 0.2000 "
        "(1.5 times allowed)",
        f"seen in {SEEN}; pixel values are in [0, 1]",
        USE_A_STABLE_CALL,
    )


@pytest.mark.parametrize(
    ("record", "line"),
    [
        (drawn(0.02, 0.2, ssim=0.24, psnr_db=8.0), "  image 0: PSNR 8.0 dB (at least 22.42 dB required)"),
        (drawn(0.02, 0.2, ssim=0.8, max_error=0.6), "  image 0: largest error of a pixel 0.6000 (0.55 allowed)"),
        (drawn(0.02, 0.2, ssim=0.8, bias=-0.06), "  image 0: mean signed error -0.0600 (0.05062 allowed)"),
        (
            drawn(0.04, 0.2, ssim=0.8),
            "  first difference in step 0 of 2: relative latent error 0.0400 (0.031 allowed), cosine 1.0000",
        ),
        (
            drawn(math.nan, 0.2, ssim=0.8),
            "  first difference in step 0 of 2: relative latent error nan (0.031 allowed), cosine 1.0000",
        ),
        (drawn(0.02, 0.2, ssim=0.8, defects=("the image is black",)), "  image 0: the image is black"),
    ],
    ids=["RMS error", "largest error", "bias", "first step", "NaN", "defect"],
)
def test_an_error_past_that_of_rounding_is_a_regression(record: ImageRecord, line: str) -> None:
    """Though rounding alone reaches the thresholds, it does not give an error of this size."""
    verdict = judge(record)

    assert verdict.outcome is Outcome.REGRESSED
    assert line in verdict.explanation
    assert verdict.explanation[-3].startswith("  rounding alone, bf16 in 2 calls: ")


def test_thresholds_that_rounding_does_not_reach_leave_a_regression() -> None:
    """Errors have the size of rounding, but the image differs in another way."""
    samples = (drawn(0.02, 0.2), drawn(0.02, 0.2))

    assert judge(drawn(0.02, 0.2, ssim=0.9), samples=samples).outcome is Outcome.REGRESSED


@pytest.mark.parametrize(
    ("sample", "outcome"),
    [
        (drawn(0.02, ssim=0.969), Outcome.INCONCLUSIVE),
        (drawn(0.02, ssim=0.97), Outcome.REGRESSED),
        (drawn(0.02, mean_error=0.0101), Outcome.INCONCLUSIVE),
    ],
)
def test_half_of_a_threshold_makes_it_inconclusive(sample: ImageRecord, outcome: Outcome) -> None:
    """The optimized pipeline may round up to 1.5 times as much as a sample."""
    assert judge(drawn(0.02, ssim=0.93), samples=(sample,)).outcome is outcome


@pytest.mark.parametrize(("lpips", "outcome"), [(0.026, Outcome.INCONCLUSIVE), (0.025, Outcome.REGRESSED)])
def test_lpips_of_the_samples_is_judged_where_it_has_a_threshold(lpips: float, outcome: Outcome) -> None:
    """It alone fails, and it alone shows that rounding decides."""
    thresholds = ImageThresholds(max_lpips=0.05)
    verdict = judge(drawn(0.02, lpips=0.06), thresholds, (drawn(0.02, lpips=lpips),))

    assert verdict.outcome is outcome
    assert "  image 0: LPIPS 0.0600 (0.05 allowed)" in verdict.explanation


def test_thresholds_of_the_test_are_judged_in_place_of_derived_ones() -> None:
    """Errors of the size of rounding are excused if rounding reaches half of the test's own threshold."""
    own = ImageThresholds(min_psnr_db=45.0)

    assert judge(drawn(0.02, 0.2), own).outcome is Outcome.INCONCLUSIVE
    assert judge(drawn(0.02, 0.2, psnr_db=50.0), own).outcome is Outcome.PASSED
    assert judge(drawn(0.02, 0.2, psnr_db=20.0), own).outcome is Outcome.REGRESSED


def test_without_a_measurement_nothing_is_excused() -> None:
    """The fixed thresholds apply."""
    record = drawn(0.02, 0.2, ssim=0.8)
    verdict = judge_images(record, ImageThresholds())

    assert unless_rounding_decides(verdict, record, SAMPLES, ImageThresholds()) == verdict
    assert verdict.explanation[2] == (
        "  first difference in step 1 of 2: relative latent error 0.2000 (0.12 allowed), cosine 1.0000"
    )


def test_steps_that_no_sample_has_are_not_excused() -> None:
    """The optimized pipeline made more steps."""
    assert judge(drawn(0.02, 0.2, 0.01, ssim=0.8)).outcome is Outcome.REGRESSED


@pytest.mark.parametrize(("error", "outcome"), [(0.061, Outcome.PASSED), (0.0611, Outcome.REGRESSED)])
def test_returned_latents_are_compared_with_those_of_rounding(error: float, outcome: Outcome) -> None:
    """At most 1.5 times the relative error, and 0.1 %."""

    def latents(relative_error: float) -> ImageRecord:
        one = LatentDifference(cosine=1.0, relative_error=relative_error, max_error=1.0)
        return ImageRecord(subject=SUBJECT, differences=(), latents=(one,))

    verdict = judge(latents(error), samples=(latents(0.04), latents(0.03)))

    assert verdict.outcome is outcome
    assert bool(verdict.explanation) is (outcome is Outcome.REGRESSED)
