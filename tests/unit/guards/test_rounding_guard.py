"""Where rounding moves the reference past the thresholds, a comparison is inconclusive, unless a bug is evident."""

import math
from dataclasses import replace

import pytest

from pytest_diffopt.guards.images import ImageThresholds, judge_images
from pytest_diffopt.guards.rounding import USE_A_STABLE_CALL, judge_at_edge
from pytest_diffopt.guards.verdict import Outcome, Verdict
from pytest_diffopt.records import ImageDifference, ImageRecord, LatentDifference, StepDrift
from tests.unit.guards.guard_examples import SEEN, SUBJECT

THRESHOLDS = ImageThresholds()


def drawn(first: float, last: float, *, ssim: float = 1.0, defects: tuple[str, ...] = ()) -> ImageRecord:
    """Return a comparison with these latent errors after the first and the last step, and this SSIM."""
    difference = ImageDifference(ssim=ssim, psnr_db=40.0, max_error=0.1, mean_error=0.01, flip=0.02, defects=defects)
    drift = tuple(StepDrift(step=step, cosine=1.0, relative_error=error) for step, error in enumerate((first, last)))
    return ImageRecord(subject=SUBJECT, differences=(difference,), drift=drift)


CLOSE = drawn(0.014, 0.05, ssim=0.975)
OTHER = drawn(0.015, 0.17, ssim=0.9)


def judge(record: ImageRecord, *rounded: ImageRecord) -> Verdict:
    """Judge an image that is past the thresholds, given the rounded references."""
    return judge_at_edge(judge_images(record, THRESHOLDS), record, rounded, THRESHOLDS, "bfloat16")


def test_an_image_that_rounding_decides_is_inconclusive() -> None:
    """The lines show the figures of both, and which calls can be tested instead."""
    verdict = judge(drawn(0.02, 0.2, ssim=0.8), CLOSE, OTHER)

    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert not verdict.is_failure
    assert verdict.explanation == (
        "diffopt: rounding decides this image, so this comparison proves nothing",
        "  image 0: SSIM 0.8000 (at least 0.94 required)",
        "  first difference in step 1 of 2: relative latent error 0.2000 (0.12 allowed), cosine 1.0000",
        "  the reference rounded to bfloat16 is past half the thresholds in 1 of 2 variants: "
        "SSIM 0.9000, PSNR 40.0 dB, relative latent error 0.1700",
        "  after the first step relative latent error 0.0200, the rounded reference's 0.0150",
        f"seen in {SEEN}; pixel values are in [0, 1]",
        USE_A_STABLE_CALL,
    )


@pytest.mark.parametrize(
    ("rounded", "outcome"), [(0.026, Outcome.INCONCLUSIVE), (0.025, Outcome.REGRESSED)], ids=["past half", "half"]
)
def test_half_of_the_lpips_threshold_makes_it_inconclusive(rounded: float, outcome: Outcome) -> None:
    """LPIPS of the rounded reference is judged where the test sets a threshold for it."""
    thresholds = replace(THRESHOLDS, max_lpips=0.05)
    record, close = (
        replace(one, differences=(replace(one.differences[0], lpips=lpips),))
        for one, lpips in ((drawn(0.02, 0.05), 0.06), (drawn(0.015, 0.03), rounded))
    )
    verdict = judge_at_edge(judge_images(record, thresholds), record, [close], thresholds, "bfloat16")

    assert verdict.outcome is outcome
    assert "  image 0: LPIPS 0.0600 (0.05 allowed)" in verdict.explanation


def test_a_rounded_reference_within_half_the_thresholds_leaves_a_regression() -> None:
    """The verdict is unchanged."""
    record = drawn(0.02, 0.2)

    assert judge(record, CLOSE, CLOSE) == judge_images(record, THRESHOLDS)


@pytest.mark.parametrize("rounded", [drawn(0.015, 0.061), drawn(0.015, 0.03, ssim=0.969)])
def test_half_of_a_threshold_makes_it_inconclusive(rounded: ImageRecord) -> None:
    """The optimized pipeline also rounds inside its modules, which was measured to double the error."""
    assert judge(drawn(0.02, 0.2), rounded).outcome is Outcome.INCONCLUSIVE


@pytest.mark.parametrize("first", [0.031, 0.5, math.nan], ids=["twice the rounded", "past the threshold", "NaN"])
def test_an_error_in_the_first_step_is_a_regression(first: float) -> None:
    """The last line shows why rounding does not explain it."""
    verdict = judge(drawn(first, 0.2), OTHER)

    assert verdict.is_failure
    assert verdict.explanation[-1] == (
        "the reference rounded to bfloat16 is past half the thresholds in 1 of 1 variants: "
        "SSIM 0.9000, PSNR 40.0 dB, relative latent error 0.1700; rounding does not explain it: "
        f"after the first step relative latent error {first:.4f}, the rounded reference's 0.0150"
    )


def test_a_first_step_past_its_threshold_is_a_regression_whatever_the_reference() -> None:
    """A reference that differs at each call, because of a bug that both share, excuses nothing."""
    assert judge(drawn(0.24, 0.24), drawn(0.25, 0.25)).is_failure


def test_a_defect_is_a_regression_whatever_the_rounding() -> None:
    """Rounding does not make an image black."""
    assert judge(drawn(0.02, 0.2, defects=("the image is black",)), OTHER).is_failure


def test_without_latents_a_regression_stays() -> None:
    """It is unknown in which step the difference began."""
    record = replace(drawn(0.02, 0.2, ssim=0.5), drift=())

    assert judge(record, OTHER).is_failure
    assert judge(drawn(0.02, 0.2), replace(OTHER, drift=())).is_failure


def test_latents_in_place_of_images_are_reported_alone() -> None:
    """They have no SSIM."""
    latents = (LatentDifference(cosine=0.9, relative_error=0.2, max_error=1.0),)
    one, other = (replace(record, differences=(), latents=latents) for record in (drawn(0.02, 0.2), OTHER))

    assert judge(one, other).explanation[3] == (
        "  the reference rounded to bfloat16 is past half the thresholds in 1 of 1 variants: "
        "relative latent error 0.2000"
    )
