"""A picture past any threshold, or with a defect of its own, is red."""

import math

import pytest

from pytest_diffopt.guards.images import ImageThresholds, judge_images
from pytest_diffopt.guards.verdict import Outcome, Verdict
from pytest_diffopt.records import Concern, ImageDifference, ImageRecord
from tests.unit.guards.guard_examples import SEEN, SUBJECT

REMEDY = "if this is wanted: pass thresholds=ImageThresholds(...) with the reason beside it"


def difference(
    *,
    ssim: float = 0.99,
    psnr_db: float = 40.0,
    max_error: float = 0.1,
    mean_error: float = 0.01,
    defects: tuple[str, ...] = (),
) -> ImageDifference:
    """Pretend that a picture is this far from its reference; by default close enough."""
    return ImageDifference(
        ssim=ssim, psnr_db=psnr_db, max_error=max_error, mean_error=mean_error, flip=0.0, defects=defects
    )


def judge(*differences: ImageDifference, thresholds: ImageThresholds | None = None) -> Verdict:
    """Judge a batch."""
    return judge_images(ImageRecord(subject=SUBJECT, differences=differences), thresholds or ImageThresholds())


def test_a_close_picture_is_green_and_the_worst_of_a_batch_is_told() -> None:
    """The figures are the worst of the batch, each for itself."""
    verdict = judge(difference(ssim=0.98, max_error=0.2), difference(psnr_db=35.04, mean_error=0.015))

    assert verdict.outcome is Outcome.PASSED
    assert verdict.concern is Concern.IMAGES
    assert verdict.summary == "SSIM 0.9800, PSNR 35.0 dB"
    assert verdict.explanation == ()
    assert verdict.figures == {"ssim": 0.98, "psnr_db": 35.04, "max_error": 0.2, "mean_error": 0.015}


def test_equal_pictures_are_green() -> None:
    """An infinite PSNR is the best there is."""
    verdict = judge(difference(ssim=1.0, psnr_db=math.inf, max_error=0.0, mean_error=0.0))

    assert verdict.outcome is Outcome.PASSED
    assert verdict.summary == "SSIM 1.0000, PSNR inf dB"


@pytest.mark.parametrize(
    ("far", "line"),
    [
        (difference(ssim=0.9), "SSIM 0.9000 (at least 0.95 wanted)"),
        (difference(psnr_db=25.0), "PSNR 25.0 dB (at least 30 dB wanted)"),
        (difference(max_error=0.5), "largest error of a pixel 0.5000 (up to 0.35 allowed)"),
        (difference(mean_error=0.03), "mean error 0.0300 (up to 0.02 allowed)"),
        (difference(ssim=math.nan), "SSIM nan (at least 0.95 wanted)"),
        (difference(psnr_db=math.nan), "PSNR nan dB (at least 30 dB wanted)"),
        (difference(max_error=math.nan), "largest error of a pixel nan (up to 0.35 allowed)"),
        (difference(mean_error=math.nan), "mean error nan (up to 0.02 allowed)"),
        (difference(defects=("the picture is black",)), "the picture is black"),
    ],
)
def test_each_threshold_alone_is_red(far: ImageDifference, line: str) -> None:
    """One violated threshold, a figure that is no number, or a defect: the one line that says so."""
    verdict = judge(far)

    assert verdict.outcome is Outcome.REGRESSED
    assert verdict.explanation == (
        "diffopt: 1 of 1 picture differs from the reference",
        f"  picture 0: {line}",
        f"seen in {SEEN}; pixel values are in [0, 1]",
        REMEDY,
    )


@pytest.mark.parametrize(
    "at_limit",
    [difference(ssim=0.95), difference(psnr_db=30.0), difference(max_error=0.35), difference(mean_error=0.02)],
)
def test_a_picture_at_its_limit_is_green(at_limit: ImageDifference) -> None:
    """A threshold is what is still allowed."""
    assert judge(at_limit).outcome is Outcome.PASSED


def test_thresholds_are_the_users_own() -> None:
    """A wider threshold accepts, a narrower one refuses, and the message says which one it was."""
    wide, narrow = ImageThresholds(min_ssim=0.5), ImageThresholds(min_ssim=0.999)

    assert judge(difference(ssim=0.6), thresholds=wide).outcome is Outcome.PASSED
    assert judge(difference(), thresholds=narrow).explanation[1] == "  picture 0: SSIM 0.9900 (at least 0.999 wanted)"


def test_every_failing_picture_of_a_batch_is_named() -> None:
    """Pictures that are fine are left out; of the others every line stands there, the defects first."""
    verdict = judge(
        difference(),
        difference(ssim=0.1, max_error=1.0, defects=("the picture is black",)),
        difference(mean_error=0.5),
    )

    assert verdict.explanation == (
        "diffopt: 2 of 3 pictures differ from the reference",
        "  picture 1: the picture is black",
        "  picture 1: SSIM 0.1000 (at least 0.95 wanted)",
        "  picture 1: largest error of a pixel 1.0000 (up to 0.35 allowed)",
        "  picture 2: mean error 0.5000 (up to 0.02 allowed)",
        f"seen in {SEEN}; pixel values are in [0, 1]",
        REMEDY,
    )


def test_a_nan_anywhere_in_the_batch_is_the_worst_figure() -> None:
    """A healthy picture beside it does not hide it from the summary, in whatever order they stand."""
    healthy, broken = difference(), difference(ssim=math.nan, psnr_db=math.nan, max_error=math.nan, mean_error=math.nan)

    assert judge(broken, healthy).summary == "SSIM nan, PSNR nan dB"
    assert judge(healthy, broken).summary == "SSIM nan, PSNR nan dB"
    assert all(math.isnan(figure) for figure in judge(healthy, broken).figures.values())
