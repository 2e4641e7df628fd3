"""An image that differs from its reference fails the test; so does an image with defects."""

from pathlib import Path

import pytest

from tests import fake_lpips

SIMILAR = """
import numpy as np
from pytest_diffopt import ImageThresholds, assert_images_similar

GRADIENT = np.linspace(0.1, 0.9, 16 * 16 * 3).reshape(1, 16, 16, 3)
SWAPPED = GRADIENT[:, ::-1]
DOTTED = GRADIENT.copy()
DOTTED[0, 2, 2] = 1.0
HOLED = GRADIENT.copy()
HOLED[0, 0, 0, :2] = np.nan

def test_image(optimized_pipeline):
    assert_images_similar({call})
"""
SEEN = "seen in pipeline SmallPipeline (weights: the user's own); pixel values are in [[]0, 1[]]"
HINT = "to accept this: pass thresholds=ImageThresholds(...) with the reason in a comment"


def run(project: pytest.Pytester, call: str) -> pytest.RunResult:
    """Run one assertion."""
    project.makepyfile(test_it=SIMILAR.format(call=call))
    return project.runpytest_inprocess()


@pytest.mark.parametrize(
    "call",
    [
        "GRADIENT, GRADIENT",
        "GRADIENT + 0.001, GRADIENT",
        "DOTTED, GRADIENT, thresholds=ImageThresholds(max_error=1.0, min_ssim=0.5, min_psnr_db=20)",
    ],
    ids=["equal", "close", "within thresholds"],
)
def test_an_image_close_to_its_reference_passes(own_pipeline: pytest.Pytester, call: str) -> None:
    """Rounding is no regression, and a test may widen the thresholds."""
    run(own_pipeline, call).assert_outcomes(passed=1)


@pytest.mark.parametrize(
    ("call", "facts"),
    [
        (
            "SWAPPED, GRADIENT",
            [
                "image 0: SSIM * (at least 0.94 required)",
                "image 0: PSNR * dB (at least 28 dB required)",
                "image 0: largest error of a pixel 0.7* (0.6 allowed)",
                "image 0: mean error 0.* (0.02 allowed)",
                "image 0: FLIP 0.7* (0.18 allowed)",
            ],
        ),
        (
            "DOTTED, GRADIENT",
            ["image 0: PSNR 26.1 dB *", "image 0: largest error of a pixel 0.7936 (0.6 allowed)"],
        ),
        ("GRADIENT * 0, GRADIENT * 0", ["image 0: the image is black", "image 0: the reference is black"]),
        (
            "GRADIENT * 0 + 0.5, GRADIENT * 0 + 0.5",
            [
                "image 0: the image is constant: every value is 0.500",
                "image 0: the reference is constant: every value is 0.500",
            ],
        ),
    ],
    ids=["another image", "one dot", "black", "constant"],
)
def test_an_image_unlike_its_reference_fails(own_pipeline: pytest.Pytester, call: str, facts: list[str]) -> None:
    """Each figure is followed by its limit; two equal black images fail too."""
    result = run(own_pipeline, call)

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "diffopt: 1 of 1 image differs from the reference",
            *(f"  {fact}" for fact in facts),
            SEEN,
            HINT,
            "images: /*/images/test_it.py__test_image-*",
        ],
        consecutive=True,
    )


def test_an_image_with_nan_fails(own_pipeline: pytest.Pytester) -> None:
    """NaN compares false with every threshold and must still fail."""
    result = run(own_pipeline, "HOLED, GRADIENT")

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "diffopt: 1 of 1 image differs from the reference",
            "  image 0: the image holds 2 values that are NaN or infinite",
        ],
        consecutive=True,
    )


def test_only_the_images_that_differ_are_named(own_pipeline: pytest.Pytester) -> None:
    """A batch is judged image by image."""
    result = run(own_pipeline, "[GRADIENT[0], SWAPPED[0]], [GRADIENT[0], GRADIENT[0]]")

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["diffopt: 1 of 2 images differs from the reference", "  image 1: *"])
    result.stdout.no_fnmatch_line("  image 0: *")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            "GRADIENT[:, :12], GRADIENT",
            (
                "images and references must have the same number, size and channels, "
                "got: (1, 12, 16, 3) and (1, 16, 16, 3)"
            ),
        ),
        (
            "[GRADIENT[0], GRADIENT[0, :12]], GRADIENT",
            "all images of a batch must have the same size, got: (12, 16, 3), (16, 16, 3)",
        ),
        (
            "GRADIENT[:, :8], GRADIENT[:, :8]",
            "images must be at least 11 x 11 pixels for SSIM, got: (8, 16)",
        ),
        ('"image.png", GRADIENT', "images must come as tensors, arrays or PIL images, got: str"),
        ("[], GRADIENT", "images must come as tensors, arrays or PIL images, got: list"),
        (
            "GRADIENT[0, :, :, 0], GRADIENT",
            "images must have the shape (number, height, width, channels), got: (16, 16)",
        ),
    ],
    ids=["sizes", "sizes in a batch", "too small", "no image", "empty", "no channels"],
)
def test_images_that_cannot_be_compared_are_an_error(own_pipeline: pytest.Pytester, call: str, message: str) -> None:
    """The message has the rule and the shapes, without a traceback."""
    result = run(own_pipeline, call)

    result.assert_outcomes(failed=1)
    assert f"diffopt: {message}" in result.outlines
    result.stdout.no_fnmatch_line("*pytest_diffopt/*")


LPIPS = """
import numpy as np
from pytest_diffopt import ImageThresholds, assert_images_similar

GRADIENT = np.linspace(0.1, 0.7, 32 * 32 * 3).reshape(1, 32, 32, 3)

def test_image(optimized_pipeline):
    assert_images_similar({images}, GRADIENT, thresholds=ImageThresholds(max_error=1.0, {thresholds}))
"""


@pytest.fixture
def weights(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Replace LPIPS by the mean squared error, and return the file of AlexNet's weights."""
    return fake_lpips.install(monkeypatch, tmp_path)


def run_lpips(project: pytest.Pytester, images: str, thresholds: str) -> pytest.RunResult:
    """Run one assertion."""
    project.makepyfile(test_it=LPIPS.format(images=images, thresholds=thresholds))
    return project.runpytest_inprocess("-v")


@pytest.mark.usefixtures("weights")
def test_lpips_is_judged_where_a_test_sets_a_threshold(own_pipeline: pytest.Pytester) -> None:
    """It is reported with the other figures, also where the test passes."""
    red = run_lpips(own_pipeline, "GRADIENT + 0.018", "max_lpips=0.0002")
    green = run_lpips(own_pipeline, "GRADIENT + 0.01", "max_lpips=0.0002")

    red.assert_outcomes(failed=1)
    red.stdout.fnmatch_lines(
        [
            "diffopt: 1 of 1 image differs from the reference",
            "  image 0: LPIPS 0.0003 (0.0002 allowed)",
            SEEN,
            HINT,
        ],
        consecutive=True,
    )
    green.assert_outcomes(passed=1)
    green.stdout.fnmatch_lines(["passed * images * SSIM *, PSNR *, FLIP *, LPIPS 0.0001"])


def test_without_a_threshold_lpips_needs_no_weights(own_pipeline: pytest.Pytester, weights: Path) -> None:
    """Every other figure is judged as usual."""
    weights.unlink()
    result = run_lpips(own_pipeline, "GRADIENT + 0.018", "")

    result.assert_outcomes(passed=1)
    result.stdout.no_fnmatch_line("*LPIPS*")


def test_lpips_that_cannot_be_measured_is_an_error(own_pipeline: pytest.Pytester, weights: Path) -> None:
    """It must neither skip nor pass a test that required it."""
    weights.unlink()
    result = run_lpips(own_pipeline, "GRADIENT", "max_lpips=0.05")

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            f"diffopt: LPIPS needs AlexNet's weights, but {weights} does not exist; fetch it once: "
            "python -c 'from torchvision.models import alexnet; alexnet(weights=\"DEFAULT\")'"
        ]
    )
    result.stdout.no_fnmatch_line("*pytest_diffopt/*")
