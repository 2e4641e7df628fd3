"""Thresholds are the worst sample and a margin; samples of two kinds of images have none."""

import math

import pytest

from pytest_diffopt.baselines.image_document import ImageFigures, ImageSample
from pytest_diffopt.guards.image_thresholds import ImageThresholds
from pytest_diffopt.guards.learned_thresholds import learned, thresholds_of, two_valued


def sample(call: str = "a call", **figures: float) -> ImageSample:
    """Return the figures of a call; by default they are good."""
    good = {"ssim": 0.99, "psnr_db": 40.0, "max_error": 0.1, "mean_error": 0.01, "flip": 0.02, "latent_error": 0.03}
    return ImageSample(call=call, figures=ImageFigures(**(good | figures)))


def seen(*ssims: float) -> tuple[ImageSample, ...]:
    """Return samples with these SSIMs; each call is named by its number."""
    return tuple(sample(str(number), ssim=ssim) for number, ssim in enumerate(ssims))


def test_thresholds_match_a_calculation_by_hand() -> None:
    """The worst of each figure, 1.5 times its error, and the floor for eight-bit rounding; 1.5 is 3.52 dB."""
    found = learned([sample(ssim=0.98), sample(max_error=0.2, flip=0.04)], margin=0.5)

    assert found.ssim == pytest.approx(1 - 0.02 * 1.5 - 0.0005)
    assert found.psnr_db == pytest.approx(40.0 - 3.5218, abs=1e-4)
    assert found.max_error == pytest.approx(0.2 * 1.5 + 1 / 255)
    assert found.mean_error == pytest.approx(0.01 * 1.5 + 0.0005)
    assert found.flip == pytest.approx(0.04 * 1.5 + 0.002)
    assert found.latent_error == pytest.approx(0.03 * 1.5 + 0.001)


def test_every_sample_is_within_the_learned_thresholds() -> None:
    """Also with equal images, and with the worst possible ones."""
    equal = sample(ssim=1.0, psnr_db=100.0, max_error=0.0, mean_error=0.0, flip=0.0, latent_error=0.0)
    worst = sample(ssim=-1.0, psnr_db=0.0, max_error=1.0, mean_error=1.0, flip=1.0, latent_error=9.0)
    for one in (equal, worst, sample()):
        found = learned([one], margin=0.1)
        assert found.ssim <= one.figures.ssim
        assert found.psnr_db <= one.figures.psnr_db
        assert found.max_error >= one.figures.max_error
        assert found.mean_error >= one.figures.mean_error
        assert found.flip >= one.figures.flip
        assert found.latent_error >= one.figures.latent_error


def test_equal_images_leave_room_for_eight_bits() -> None:
    """Otherwise a difference of one level on another processor would fail."""
    equal = sample(ssim=1.0, psnr_db=100.0, max_error=0.0, mean_error=0.0, flip=0.0, latent_error=0.0)
    found = learned([equal], margin=0.5)

    assert found.psnr_db < 60.0
    assert found.max_error == pytest.approx(1 / 255)


@pytest.mark.parametrize(
    ("ssims", "close", "far"),
    [
        ((0.99, 0.7, 0.98), ("0", "2"), ("1",)),
        ((0.3, 0.4, 0.999, 0.995), ("2", "3"), ("1", "0")),
        ((1.0, 0.98, 0.89), ("0", "1"), ("2",)),
    ],
    ids=["one differs", "half differ", "at the limit"],
)
def test_two_kinds_of_images_are_found(ssims: tuple[float, ...], close: tuple[str, ...], far: tuple[str, ...]) -> None:
    """Close ones, and ones that lose a tenth of SSIM and at least five times as much as any close one."""
    found = two_valued(seen(*ssims))

    assert found is not None
    assert (found.close, found.far) == (close, far)
    assert math.isclose(found.close_ssim, min(ssims[int(name)] for name in close))
    assert math.isclose(found.far_ssim, max(ssims[int(name)] for name in far))


@pytest.mark.parametrize(
    "ssims",
    [(0.99, 0.98, 0.97), (0.99, 0.92, 0.999), (0.95, 0.85, 0.75), (0.5, 0.5, 0.5), (1.0, 0.5)],
    ids=["all close", "one less close", "gradual", "all far", "too few"],
)
def test_one_kind_of_images_is_not_split(ssims: tuple[float, ...]) -> None:
    """Uniformly bad images are one kind."""
    assert two_valued(seen(*ssims)) is None


def test_the_figures_of_a_document_are_thresholds() -> None:
    """Each figure sets its own threshold."""
    assert thresholds_of(sample().figures) == ImageThresholds(
        min_ssim=0.99, min_psnr_db=40.0, max_error=0.1, max_mean_error=0.01, max_flip=0.02, max_latent_error=0.03
    )
