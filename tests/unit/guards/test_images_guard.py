"""An image past any threshold, or with a defect, fails."""

import math

import pytest

from pytest_diffopt.guards.image_thresholds import EXACT_ARITHMETIC, ImageThresholds, default_thresholds
from pytest_diffopt.guards.images import judge_images
from pytest_diffopt.guards.verdict import Outcome, Verdict
from pytest_diffopt.records import (
    Concern,
    Device,
    ImageDifference,
    ImageRecord,
    LatentDifference,
    ModuleDrift,
    StepDrift,
    Subject,
)
from tests.unit.guards.guard_examples import SEEN, SUBJECT

HINT = "to accept this: pass thresholds=ImageThresholds(...) with the reason in a comment"


def difference(  # noqa: PLR0913 - one for each figure
    *,
    ssim: float = 0.99,
    psnr_db: float = 40.0,
    max_error: float = 0.1,
    mean_error: float = 0.01,
    flip: float = 0.02,
    lpips: float | None = None,
    defects: tuple[str, ...] = (),
) -> ImageDifference:
    """Return an image's distance from its reference; by default it is close enough."""
    return ImageDifference(
        ssim=ssim,
        psnr_db=psnr_db,
        max_error=max_error,
        mean_error=mean_error,
        flip=flip,
        lpips=lpips,
        defects=defects,
    )


def judge(*differences: ImageDifference, thresholds: ImageThresholds | None = None) -> Verdict:
    """Judge a batch."""
    return judge_images(ImageRecord(subject=SUBJECT, differences=differences), thresholds or ImageThresholds())


def test_a_close_image_passes_and_the_worst_of_a_batch_is_reported() -> None:
    """Each figure is the worst of the batch."""
    verdict = judge(difference(ssim=0.98, max_error=0.2), difference(psnr_db=35.04, mean_error=0.015, flip=0.05))

    assert verdict.outcome is Outcome.PASSED
    assert verdict.concern is Concern.IMAGES
    assert verdict.summary == "SSIM 0.9800, PSNR 35.0 dB, FLIP 0.0500"
    assert verdict.explanation == ()
    assert verdict.figures == {"ssim": 0.98, "psnr_db": 35.04, "max_error": 0.2, "mean_error": 0.015, "flip": 0.05}


def test_equal_images_pass() -> None:
    """Their PSNR is infinite."""
    verdict = judge(difference(ssim=1.0, psnr_db=math.inf, max_error=0.0, mean_error=0.0, flip=0.0))

    assert verdict.outcome is Outcome.PASSED
    assert verdict.summary == "SSIM 1.0000, PSNR inf dB, FLIP 0.0000"


@pytest.mark.parametrize(
    ("far", "line"),
    [
        (difference(ssim=0.9), "SSIM 0.9000 (at least 0.94 required)"),
        (difference(psnr_db=25.0), "PSNR 25.0 dB (at least 28 dB required)"),
        (difference(max_error=0.7), "largest error of a pixel 0.7000 (0.6 allowed)"),
        (difference(mean_error=0.03), "mean error 0.0300 (0.02 allowed)"),
        (difference(flip=0.2), "FLIP 0.2000 (0.18 allowed)"),
        (difference(flip=math.nan), "FLIP nan (0.18 allowed)"),
        (difference(ssim=math.nan), "SSIM nan (at least 0.94 required)"),
        (difference(psnr_db=math.nan), "PSNR nan dB (at least 28 dB required)"),
        (difference(max_error=math.nan), "largest error of a pixel nan (0.6 allowed)"),
        (difference(mean_error=math.nan), "mean error nan (0.02 allowed)"),
        (difference(defects=("the image is black",)), "the image is black"),
    ],
)
def test_each_threshold_alone_fails(far: ImageDifference, line: str) -> None:
    """A violated threshold, a NaN figure or a defect has one line."""
    verdict = judge(far)

    assert verdict.outcome is Outcome.REGRESSED
    assert verdict.explanation == (
        "diffopt: 1 of 1 image differs from the reference",
        f"  image 0: {line}",
        f"seen in {SEEN}; pixel values are in [0, 1]",
        HINT,
    )


@pytest.mark.parametrize(
    "at_limit",
    [
        difference(ssim=0.94),
        difference(psnr_db=28.0),
        difference(max_error=0.6),
        difference(mean_error=0.02),
        difference(flip=0.18),
    ],
)
def test_an_image_at_its_limit_passes(at_limit: ImageDifference) -> None:
    """A threshold is the last value that passes."""
    assert judge(at_limit).outcome is Outcome.PASSED


def test_thresholds_can_be_set_by_the_test() -> None:
    """A wider threshold passes, a narrower one fails, and the message names it."""
    wide, narrow = ImageThresholds(min_ssim=0.5), ImageThresholds(min_ssim=0.999)

    assert judge(difference(ssim=0.6), thresholds=wide).outcome is Outcome.PASSED
    assert judge(difference(), thresholds=narrow).explanation[1] == "  image 0: SSIM 0.9900 (at least 0.999 required)"


LPIPS = ImageThresholds(max_lpips=0.05)


@pytest.mark.parametrize("lpips", [0.0612, math.nan])
def test_lpips_past_its_threshold_fails(lpips: float) -> None:
    """LPIPS is reported with the other figures."""
    verdict = judge(difference(lpips=0.01), difference(lpips=lpips), thresholds=LPIPS)

    assert verdict.outcome is Outcome.REGRESSED
    assert verdict.explanation == (
        "diffopt: 1 of 2 images differs from the reference",
        f"  image 1: LPIPS {lpips:.4f} (0.05 allowed)",
        f"seen in {SEEN}; pixel values are in [0, 1]",
        HINT,
    )
    assert verdict.summary == f"SSIM 0.9900, PSNR 40.0 dB, FLIP 0.0200, LPIPS {lpips:.4f}"
    assert verdict.figures["lpips"] == pytest.approx(lpips, nan_ok=True)


def test_lpips_at_its_limit_passes_and_is_reported() -> None:
    """The worst of the batch."""
    verdict = judge(difference(lpips=0.05), difference(lpips=0.0), thresholds=LPIPS)

    assert verdict.outcome is Outcome.PASSED
    assert verdict.summary == "SSIM 0.9900, PSNR 40.0 dB, FLIP 0.0200, LPIPS 0.0500"
    assert verdict.figures["lpips"] == 0.05


def test_lpips_that_was_not_measured_is_not_reported_and_cannot_be_judged() -> None:
    """A threshold for LPIPS requires that it was measured."""
    assert "lpips" not in judge(difference()).figures
    with pytest.raises(AssertionError, match="LPIPS is measured where it is judged"):
        judge(difference(), thresholds=LPIPS)


def test_every_failing_image_of_a_batch_is_named() -> None:
    """Images that pass are left out; of the others every line is shown, the defects first."""
    verdict = judge(
        difference(),
        difference(ssim=0.1, max_error=1.0, defects=("the image is black",)),
        difference(mean_error=0.5),
    )

    assert verdict.explanation == (
        "diffopt: 2 of 3 images differ from the reference",
        "  image 1: the image is black",
        "  image 1: SSIM 0.1000 (at least 0.94 required)",
        "  image 1: largest error of a pixel 1.0000 (0.6 allowed)",
        "  image 2: mean error 0.5000 (0.02 allowed)",
        f"seen in {SEEN}; pixel values are in [0, 1]",
        HINT,
    )


def test_a_nan_anywhere_in_the_batch_is_the_worst_figure() -> None:
    """A good image in the batch does not hide it from the summary, in either order."""
    nan = math.nan
    healthy, broken = difference(), difference(ssim=nan, psnr_db=nan, max_error=nan, mean_error=nan, flip=nan)

    assert judge(broken, healthy).summary == "SSIM nan, PSNR nan dB, FLIP nan"
    assert judge(healthy, broken).summary == "SSIM nan, PSNR nan dB, FLIP nan"
    assert all(math.isnan(figure) for figure in judge(healthy, broken).figures.values())


def drifting(*errors: float, first_module: ModuleDrift | None = None) -> ImageRecord:
    """Return latents with these errors after each step, and a good image."""
    drift = tuple(StepDrift(step=step, cosine=1 - error / 2, relative_error=error) for step, error in enumerate(errors))
    return ImageRecord(subject=SUBJECT, differences=(difference(),), drift=drift, first_module=first_module)


def test_latents_within_their_threshold_pass() -> None:
    """The worst step is reported."""
    verdict = judge_images(drifting(0.01, 0.1, 0.05), ImageThresholds())

    assert verdict.outcome is Outcome.PASSED
    assert verdict.figures["latent_error"] == 0.1
    assert "first_step_outside" not in verdict.figures


@pytest.mark.parametrize("error", [0.2, math.nan])
def test_latents_past_their_threshold_fail_with_a_good_image(error: float) -> None:
    """Latents that recover here may not at the next prompt; the first step is named."""
    module = ModuleDrift(module="unet.mid_block", module_type="Block", step=1, relative_error=0.4, input_error=0.01)
    verdict = judge_images(drifting(0.01, error, 0.3, first_module=module), ImageThresholds())

    assert verdict.figures["first_step_outside"] == 1
    assert verdict.explanation == (
        "diffopt: the latents differ from the reference during denoising",
        f"  first difference in step 1 of 3: relative latent error {error:.4f} (0.12 allowed), "
        f"cosine {1 - error / 2:.4f}",
        "  first differing module: unet.mid_block (Block), step 1: "
        "relative error 0.4000 of its output, 0.0100 of its inputs",
        f"seen in {SEEN}; pixel values are in [0, 1]",
        HINT,
    )


def test_a_different_image_after_good_latents_is_reported() -> None:
    """The fault is after the loop: in the VAE, or later."""
    record = ImageRecord(subject=SUBJECT, differences=(difference(ssim=0.5),), drift=drifting(0.01, 0.01).drift)

    assert judge_images(record, ImageThresholds()).explanation[2] == (
        "  the latents of all 2 steps agree: the images differ after the last step"
    )


def test_latents_are_judged_in_place_of_images() -> None:
    """Each with its own reference; a defect fails at any distance."""
    good = LatentDifference(cosine=1.0, relative_error=0.02, max_error=0.1)
    far = LatentDifference(cosine=0.9, relative_error=0.3, max_error=2.0)
    broken = LatentDifference(cosine=1.0, relative_error=0.0, max_error=0.0, defects=("the latents are constant",))

    def judged(*latents: LatentDifference) -> Verdict:
        return judge_images(ImageRecord(subject=SUBJECT, differences=(), latents=latents), ImageThresholds())

    assert judged(good).summary == "relative latent error 0.0200"
    assert judged(good).outcome is Outcome.PASSED
    assert judged(good, far, broken).explanation[:3] == (
        "diffopt: 2 of 3 latents differ from the reference",
        "  latent 1: relative latent error 0.3000 (0.12 allowed), cosine 0.9000",
        "  latent 2: the latents are constant",
    )


@pytest.mark.parametrize(
    ("recipe", "device", "thresholds"),
    [
        ("fp32 + sdpa(backend='math') + channels_last + fuse_qkv + compile", Device.CPU, EXACT_ARITHMETIC),
        ("fp32", Device.CPU, EXACT_ARITHMETIC),
        ('scheduler(use="DDIMScheduler") + fp32', Device.CPU, EXACT_ARITHMETIC),
        ("fp32", Device.CUDA, ImageThresholds()),
        ("bf16 + sdpa", Device.CPU, ImageThresholds()),
        ("fp32 + int8_dynamic", Device.CPU, ImageThresholds()),
        ("sdpa", Device.CPU, ImageThresholds()),
        ("", Device.CPU, ImageThresholds()),
    ],
)
def test_only_float32_has_strict_default_thresholds(recipe: str, device: Device, thresholds: ImageThresholds) -> None:
    """Recipes with more rounding, and unknown ones, have the default thresholds."""
    assert default_thresholds(Subject(pipeline="sdxl", recipe=recipe, device=device)) == thresholds
