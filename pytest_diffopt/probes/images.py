"""Differences of images from their references."""

import math
from itertools import repeat
from typing import Any

import numpy as np
from skimage.metrics import structural_similarity

from pytest_diffopt.errors import ProbeError
from pytest_diffopt.probes.flip import mean_flip
from pytest_diffopt.probes.image_arrays import Pixels, images_of
from pytest_diffopt.probes.lpips import lpips_of
from pytest_diffopt.records import ImageDifference, ImageRecord, Subject

# Window of the published SSIM: a Gaussian with sigma 1.5, truncated to 11 x 11 (Wang et al. 2004, section III-B).
_SSIM_SIGMA = 1.5
_SSIM_WINDOW = 11
_BLACK_BELOW = 1 / 255
# Rounding in half precision may exceed [0, 1] by this much.
_SLACK = 0.01


def compare_images(images: Any, reference: Any, subject: Subject, *, with_lpips: bool = False) -> ImageRecord:
    """Compare each image with its reference.

    Args:
        images: images of the optimized pipeline, in any form that `images_of` accepts.
        reference: images of the reference pipeline, of the same number and size.
        subject: the optimized pipeline.
        with_lpips: also measure LPIPS, which needs the extra `lpips`.

    Raises:
        ProbeError: number, size or channels differ, the images are smaller than SSIM's window, or LPIPS cannot be
            measured.
    """
    ours, theirs = images_of(images), images_of(reference)
    if ours.shape != theirs.shape:
        shapes = f"{ours.shape} and {theirs.shape}"
        msg = f"images and references must have the same number, size and channels, got: {shapes}"
        raise ProbeError(msg)
    if min(ours.shape[1:3]) < _SSIM_WINDOW:
        msg = f"images must be at least {_SSIM_WINDOW} x {_SSIM_WINDOW} pixels for SSIM, got: {ours.shape[1:3]}"
        raise ProbeError(msg)
    compared = zip(ours, theirs, lpips_of(ours, theirs) if with_lpips else repeat(None, len(ours)), strict=True)
    with np.errstate(invalid="ignore", divide="ignore"):  # NaN and infinite values are reported as defects
        return ImageRecord(subject=subject, differences=tuple(_difference(*one) for one in compared))


def _difference(image: Pixels, reference: Pixels, lpips: float | None) -> ImageDifference:
    error = np.abs(image - reference)
    return ImageDifference(
        ssim=float(
            structural_similarity(
                reference,
                image,
                data_range=1.0,
                channel_axis=-1,
                gaussian_weights=True,
                sigma=_SSIM_SIGMA,
                use_sample_covariance=False,
            )
        ),
        psnr_db=_psnr_db(image, reference),
        max_error=float(error.max()),
        mean_error=float(error.mean()),
        flip=mean_flip(image, reference),
        lpips=lpips,
        bias=float((image - reference).mean()),
        defects=_defects(image, "the image") + _defects(reference, "the reference"),
    )


def _psnr_db(image: Pixels, reference: Pixels) -> float:
    if np.array_equal(image, reference):
        return math.inf  # scikit-image would divide by zero and warn
    from skimage.metrics import peak_signal_noise_ratio  # noqa: PLC0415 - imports scipy.stats, which takes half a second

    return float(peak_signal_noise_ratio(reference, image, data_range=1.0))


def _defects(image: Pixels, name: str) -> tuple[str, ...]:
    """Return defects of an image by itself, independent of any comparison: two black images are very similar."""
    not_finite = int(np.count_nonzero(~np.isfinite(image)))
    if not_finite:
        return (f"{name} holds {not_finite} values that are NaN or infinite",)
    if image.min() < -_SLACK or image.max() > 1 + _SLACK:
        return (f"{name} holds values outside of [0, 1]: from {image.min():.3f} to {image.max():.3f}",)
    if image.max() < _BLACK_BELOW:
        return (f"{name} is black",)
    if np.ptp(image) == 0:
        return (f"{name} is constant: every value is {image.flat[0]:.3f}",)
    return ()
