"""Tests of image differences and defects."""

import math

import numpy as np
import numpy.typing as npt
import pytest
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from pytest_diffopt.errors import ProbeError
from pytest_diffopt.probes.images import compare_images
from pytest_diffopt.records import ImageDifference, Subject

SUBJECT = Subject(pipeline="sdxl")
Pixels = npt.NDArray[np.float64]


def noise(seed: int, *, size: int = 24) -> Pixels:
    """Return an image of noise."""
    return np.random.default_rng(seed).random((1, size, size, 3))


def difference(image: Pixels, reference: Pixels) -> ImageDifference:
    """Compare one image with its reference."""
    record = compare_images(image, reference, SUBJECT)
    assert record.subject is SUBJECT
    (found,) = record.differences
    return found


def test_ssim_and_psnr_are_those_of_scikit_image() -> None:
    """SSIM with the published Gaussian window, on all channels; PSNR with a data range of 1."""
    image, reference = noise(1), noise(2)
    found = difference(image, reference)

    assert found.ssim == pytest.approx(
        structural_similarity(
            image[0],
            reference[0],
            data_range=1.0,
            channel_axis=-1,
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
        )
    )
    assert found.psnr_db == pytest.approx(peak_signal_noise_ratio(image[0], reference[0], data_range=1.0))
    assert found.max_error == np.abs(image - reference).max()
    assert found.mean_error == pytest.approx(np.abs(image - reference).mean())
    assert found.defects == ()


def test_psnr_and_errors_equal_a_manual_calculation() -> None:
    """With an error of 0.1 in every value, the mean square is 0.01, which is 20 dB."""
    reference = noise(1) * 0.5
    found = difference(reference + 0.1, reference)

    assert found.psnr_db == pytest.approx(20.0)
    assert [found.max_error, found.mean_error] == pytest.approx([0.1, 0.1])


def test_ssim_equals_a_manual_calculation() -> None:
    """For two constant images only the brightness term remains: (2ab + c) / (a² + b² + c), c = 0.01²."""
    found = difference(np.full((1, 16, 16, 3), 0.5), np.full((1, 16, 16, 3), 0.25))

    assert found.ssim == pytest.approx((2 * 0.5 * 0.25 + 1e-4) / (0.5**2 + 0.25**2 + 1e-4))


def test_equal_images_have_no_difference() -> None:
    """PSNR is infinite, without a division by zero."""
    assert difference(noise(1), noise(1)) == ImageDifference(
        ssim=1.0, psnr_db=math.inf, max_error=0.0, mean_error=0.0, flip=0.0
    )


def test_each_image_of_a_batch_is_compared_with_its_own_reference() -> None:
    """The order is kept."""
    batch = np.concatenate([noise(1), noise(2)])
    first, second = compare_images(batch, np.concatenate([noise(1), noise(3)]), SUBJECT).differences

    assert first.psnr_db == math.inf
    assert second == difference(noise(2), noise(3))


@pytest.mark.parametrize(
    ("level", "defect"),
    [(0.0, "is black"), (0.003, "is black"), (0.25, "is constant: every value is 0.250")],
)
def test_an_image_without_content_is_a_defect(level: float, defect: str) -> None:
    """Two black images are very similar, so that the defect is reported for the image and for the reference."""
    flat = np.full((1, 16, 16, 3), level)
    image = noise(1, size=16)

    assert difference(flat, image).defects == (f"the image {defect}",)
    assert difference(image, flat).defects == (f"the reference {defect}",)
    assert difference(flat, flat).defects == (f"the image {defect}", f"the reference {defect}")


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_nan_and_infinite_values_are_a_defect(value: float) -> None:
    """They are counted, and the figures are not finite."""
    broken, reference = noise(1), noise(2)
    broken[0, 3:5, 3, 0] = value
    found = difference(broken, reference)

    assert found.defects == ("the image holds 2 values that are NaN or infinite",)
    assert math.isnan(found.ssim)
    assert not math.isfinite(found.max_error)


def test_images_of_different_sizes_are_refused() -> None:
    """The message states both shapes."""
    with pytest.raises(ProbeError) as error:
        compare_images(noise(1, size=16), noise(1, size=24), SUBJECT)

    assert str(error.value) == (
        "images and references must have the same number, size and channels, got: (1, 16, 16, 3) and (1, 24, 24, 3)"
    )


def test_images_smaller_than_the_window_are_refused() -> None:
    """SSIM's window is 11 x 11; images of that size are accepted."""
    with pytest.raises(ProbeError) as error:
        compare_images(noise(1, size=10), noise(1, size=10), SUBJECT)

    assert str(error.value) == "images must be at least 11 x 11 pixels for SSIM, got: (10, 10)"
    assert difference(noise(1, size=11), noise(1, size=11)).ssim == 1.0
