"""Image thresholds learned from many calls of one recipe."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pytest_diffopt.baselines.image_document import ImageFigures, ImageSample
from pytest_diffopt.guards.audio_thresholds import AudioThresholds
from pytest_diffopt.guards.image_thresholds import ImageThresholds

#: How much larger than the worst sample an error may be, as a fraction.
DEFAULT_MARGIN = 0.5
# Differences below these are invisible, and another processor may round differently.
_SSIM_FLOOR = 5e-4
_MAX_ERROR_FLOOR = 1 / 255
_MEAN_ERROR_FLOOR = 5e-4
_FLIP_FLOOR = 2e-3
_LATENT_FLOOR = 1e-3
_PSNR_CAP_DB = 60.0
# Two-valued: some images lose at least 0.1 of SSIM, the rest at most a fifth of that loss, with none in between.
_OTHER_IMAGE = 0.1
_GAP = 5.0
_FEWEST_SAMPLES = 3


@dataclass(frozen=True, kw_only=True, slots=True)
class TwoValued:
    """Images of two kinds: close to their reference, or different images.

    Attributes:
        close: the calls whose images are close.
        close_ssim: the least SSIM among them.
        far: the calls whose images are different.
        far_ssim: the largest SSIM among them.
    """

    close: tuple[str, ...]
    close_ssim: float
    far: tuple[str, ...]
    far_ssim: float


def two_valued(samples: Sequence[ImageSample]) -> TwoValued | None:
    """Return the two kinds of images that the samples fall into, else None; thresholds that pass both guard nothing."""
    ordered = sorted(samples, key=lambda sample: -sample.figures.ssim)
    if len(ordered) < _FEWEST_SAMPLES:
        return None
    losses = [1 - sample.figures.ssim for sample in ordered]
    for first_far in range(1, len(ordered)):
        near, far = losses[first_far - 1], losses[first_far]
        if far >= _OTHER_IMAGE and far >= _GAP * near:
            return TwoValued(
                close=tuple(sample.call for sample in ordered[:first_far]),
                close_ssim=1 - near,
                far=tuple(sample.call for sample in ordered[first_far:]),
                far_ssim=1 - far,
            )
    return None


def learned(samples: Sequence[ImageSample], *, margin: float) -> ImageFigures:
    """Return the worst of each figure with its error widened by the margin; SSIM and PSNR are widened alike.

    Args:
        samples: the figures of calls, each compared with its reference.
        margin: as a fraction; 0.5 allows an error 1.5 times as large.
    """
    worst = worst_of(samples)
    wider = 1 + margin
    return ImageFigures(
        ssim=max(-1.0, 1 - (1 - worst.ssim) * wider - _SSIM_FLOOR),
        psnr_db=min(worst.psnr_db, _PSNR_CAP_DB) - 20 * math.log10(wider),
        max_error=min(1.0, worst.max_error * wider + _MAX_ERROR_FLOOR),
        mean_error=min(1.0, worst.mean_error * wider + _MEAN_ERROR_FLOOR),
        flip=min(1.0, worst.flip * wider + _FLIP_FLOOR),
        latent_error=worst.latent_error * wider + _LATENT_FLOOR,
        flicker=_wider(worst.flicker, wider, _MEAN_ERROR_FLOOR),
        audio_error=_wider(worst.audio_error, wider, _LATENT_FLOOR),
        spectral_distance=_wider(worst.spectral_distance, wider, _LATENT_FLOOR),
    )


def _wider(error: float | None, factor: float, floor: float) -> float | None:
    """Return the limit of an error; None where it has no meaning."""
    return None if error is None else error * factor + floor


def _largest(errors: Iterable[float | None]) -> float | None:
    """Return the largest of the errors that have a meaning; None if none has."""
    return max((one for one in errors if one is not None), default=None)


def worst_of(samples: Sequence[ImageSample]) -> ImageFigures:
    """Return the worst of each figure over all samples."""
    figures = [sample.figures for sample in samples]
    return ImageFigures(
        ssim=min(one.ssim for one in figures),
        psnr_db=min(one.psnr_db for one in figures),
        max_error=max(one.max_error for one in figures),
        mean_error=max(one.mean_error for one in figures),
        flip=max(one.flip for one in figures),
        latent_error=max(one.latent_error for one in figures),
        flicker=_largest(one.flicker for one in figures),
        audio_error=_largest(one.audio_error for one in figures),
        spectral_distance=_largest(one.spectral_distance for one in figures),
    )


def thresholds_of(figures: ImageFigures) -> ImageThresholds:
    """Return the thresholds for stored figures."""
    return ImageThresholds(
        min_ssim=figures.ssim,
        min_psnr_db=figures.psnr_db,
        max_error=figures.max_error,
        max_mean_error=figures.mean_error,
        max_flip=figures.flip,
        max_latent_error=figures.latent_error,
        max_flicker=figures.flicker,
    )


def audio_thresholds_of(figures: ImageFigures) -> AudioThresholds:
    """Return the thresholds of audio for stored figures."""
    error = figures.audio_error
    return AudioThresholds(
        min_snr_db=None if error is None else -20 * math.log10(error), max_spectral_distance=figures.spectral_distance
    )
