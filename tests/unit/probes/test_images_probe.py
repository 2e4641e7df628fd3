"""How far pictures are apart, against published definitions and values worked out by hand."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from pytest_diffopt.errors import ProbeError
from pytest_diffopt.probes.images import compare_images
from pytest_diffopt.probes.pictures import pictures_of
from pytest_diffopt.records import ImageDifference, Subject

SUBJECT = Subject(pipeline="fake")
GRADIENT = np.linspace(0.2, 0.8, 16 * 16 * 3).reshape(16, 16, 3)


def difference(image: Any, reference: Any) -> ImageDifference:
    """Compare one picture."""
    (found,) = compare_images(image, reference, SUBJECT).differences
    return found


def test_equal_pictures_are_infinitely_close() -> None:
    """Without a division by zero."""
    found = difference(GRADIENT, GRADIENT)

    assert found.ssim == pytest.approx(1.0)
    assert found.psnr_db == math.inf
    assert (found.max_error, found.mean_error, found.defects) == (0.0, 0.0, ())


def test_psnr_and_errors_are_those_of_a_shift_by_a_tenth() -> None:
    """The mean squared error is 0.01, so PSNR is 10 log10(1 / 0.01) = 20 dB."""
    found = difference(GRADIENT + 0.1, GRADIENT)

    assert found.psnr_db == pytest.approx(20.0)
    assert found.max_error == pytest.approx(0.1)
    assert found.mean_error == pytest.approx(0.1)


def test_ssim_of_two_flat_pictures_is_the_luminance_term() -> None:
    """With no variance SSIM is (2 a b + C1) / (a^2 + b^2 + C1), C1 = 0.01^2 (Wang et al. 2004, equation 6)."""
    a, b, c1 = 0.5, 0.7, 0.01**2
    found = difference(np.full((16, 16, 3), a), np.full((16, 16, 3), b))

    assert found.ssim == pytest.approx((2 * a * b + c1) / (a * a + b * b + c1))


@pytest.mark.parametrize(
    "form",
    [
        GRADIENT,
        GRADIENT[np.newaxis],
        [GRADIENT],
        torch.tensor(GRADIENT).permute(2, 0, 1),
        [torch.tensor(GRADIENT).permute(2, 0, 1)],
        torch.tensor(GRADIENT).permute(2, 0, 1)[None],
    ],
    ids=["array", "batch", "list", "tensor", "list of tensors", "batch of tensors"],
)
def test_a_picture_may_come_in_any_form(form: Any) -> None:
    """Channels last, from 0 to 1, one row a picture."""
    assert pictures_of(form).shape == (1, 16, 16, 3)
    assert np.allclose(pictures_of(form), GRADIENT)


def test_eight_bit_pictures_are_scaled() -> None:
    """A PIL image's 255 is 1."""
    white = Image.new("RGB", (16, 12), (255, 255, 255))

    assert pictures_of([white, white]).shape == (2, 12, 16, 3)
    assert pictures_of(white).max() == 1.0


@pytest.mark.parametrize(
    ("picture", "defect"),
    [
        (np.zeros((16, 16, 3)), "the picture is black"),
        (np.full((16, 16, 3), 0.25), "the picture is constant: every value is 0.250"),
    ],
)
def test_a_picture_may_be_wrong_by_itself(picture: Any, defect: str) -> None:
    """Whatever it is compared with."""
    assert difference(picture, GRADIENT).defects == (defect,)


def test_nan_and_infinity_are_counted() -> None:
    """Each value that is no number."""
    holed = GRADIENT.copy()
    holed[0, 0] = (math.nan, math.inf, -math.inf)

    assert difference(holed, GRADIENT).defects == ("the picture holds 3 values that are NaN or infinite",)


def test_other_sizes_cannot_be_compared() -> None:
    """The message has both shapes."""
    message = r"^pictures and references must have the same number, size and channels, got: .*12, 16.* and .*16, 16"
    with pytest.raises(ProbeError, match=message):
        difference(GRADIENT[:12], GRADIENT)
