"""The limits of an image's error where the effect of rounding on the same call was measured."""

import math
from collections.abc import Iterator

from pytest_diffopt.guards.failure_text import allowed, counted
from pytest_diffopt.guards.image_thresholds import ImageThresholds
from pytest_diffopt.records import ErrorSize, ImageDifference, ImageRecord, RoundingNoise

#: How much larger than that of rounding alone an error may be. Over ten pipelines, four recipes, and three prompts with
#: six seeds each, an RMS error was at most 1.47 times, and one of latents 1.33 times, the largest of five samples.
NOISE_FACTOR = 1.5
#: The allowed largest error of a pixel on top of it: rounding moves the edge of a shape in one call and not in another.
#: In the same calls it exceeded the factor by up to 0.04.
MAX_ERROR_FLOOR = 0.1
#: An RMS error of 66 dB, and latents that differ by 0.1 %, are invisible.
RMS_ERROR_FLOOR = 5e-4
LATENT_ERROR_FLOOR = 1e-3
_FIXED_PSNR_DB = 28.0
_FIXED_MAX_ERROR = 0.6
_FIXED_LATENT_ERROR = 0.12


def is_usable(noise: RoundingNoise) -> bool:
    """Return whether all figures are finite: a call that overflows in this precision limits nothing."""
    images = (figure for one in noise.images for figure in (one.max_error, one.rms_error, one.bias))
    audio = (*noise.audio_errors, *noise.spectral_distances)
    return all(map(math.isfinite, (*images, *noise.step_errors, *noise.latent_errors, *noise.flicker, *audio)))


def least_psnr_db(thresholds: ImageThresholds, noise: ErrorSize | None) -> float:
    """Return the least peak signal-to-noise ratio of an image, in decibels."""
    if thresholds.min_psnr_db is not None:
        return thresholds.min_psnr_db
    return _FIXED_PSNR_DB if noise is None else -20 * math.log10(_largest_rms_error(noise))


def largest_error(thresholds: ImageThresholds, noise: ErrorSize | None) -> float:
    """Return the largest allowed error of a pixel of an image."""
    if thresholds.max_error is not None:
        return thresholds.max_error
    return _FIXED_MAX_ERROR if noise is None else NOISE_FACTOR * noise.max_error + MAX_ERROR_FLOOR


def largest_bias(thresholds: ImageThresholds, noise: ErrorSize | None) -> float:
    """Return the largest allowed bias of an image: rounding errors have almost no common direction.

    A test that sets the peak signal-to-noise ratio itself limits the bias by it.
    """
    if noise is None or thresholds.min_psnr_db is not None:
        return math.inf
    return max(NOISE_FACTOR * noise.bias, noise.rms_error) + RMS_ERROR_FLOOR


def largest_step_error(thresholds: ImageThresholds, noise: RoundingNoise | None, step: int) -> float:
    """Return the largest allowed relative error of the latents after a step."""
    return _latent_limit(thresholds, noise.step_errors if noise else (), step)


def largest_latent_error(thresholds: ImageThresholds, noise: RoundingNoise | None, number: int) -> float:
    """Return the largest allowed relative error of the latents that a call returned for one image."""
    return _latent_limit(thresholds, noise.latent_errors if noise else (), number)


def largest_flicker(thresholds: ImageThresholds, noise: RoundingNoise | None, number: int) -> float:
    """Return the largest allowed flicker of a video; a derived one is at most the mean error that a frame may have."""
    if thresholds.max_flicker is not None:
        return thresholds.max_flicker
    if noise is None or number >= len(noise.flicker):
        return thresholds.max_mean_error
    return min(thresholds.max_mean_error, NOISE_FACTOR * noise.flicker[number] + RMS_ERROR_FLOOR)


def _latent_limit(thresholds: ImageThresholds, errors: tuple[float, ...], number: int) -> float:
    if thresholds.max_latent_error is not None:
        return thresholds.max_latent_error
    if number >= len(errors):
        return _FIXED_LATENT_ERROR
    return NOISE_FACTOR * errors[number] + LATENT_ERROR_FLOOR


def is_within_noise(record: ImageRecord) -> bool:
    """Return whether every error has the size that rounding alone was measured to give, whatever the thresholds."""
    noise = record.noise
    if noise is None or len(noise.step_errors) < len(record.drift):
        return False
    derived = ImageThresholds()
    images = all(_is_within(one, size, derived) for one, size in zip(record.differences, noise.images, strict=True))
    latents = all(
        one.relative_error <= largest_latent_error(derived, noise, number) for number, one in enumerate(record.latents)
    )
    steps = all(one.relative_error <= largest_step_error(derived, noise, one.step) for one in record.drift)
    return images and latents and steps


def _is_within(difference: ImageDifference, noise: ErrorSize, derived: ImageThresholds) -> bool:
    return (
        difference.psnr_db >= least_psnr_db(derived, noise)
        and difference.max_error <= largest_error(derived, noise)
        and abs(difference.bias) <= largest_bias(derived, noise)
    )


def noise_lines(record: ImageRecord) -> Iterator[str]:
    """Yield what was measured of rounding, for the text of a failure."""
    if record.noise_unavailable:
        yield f"the effect of rounding was not measured: {record.noise_unavailable}"
    if record.noise is not None:
        calls = counted(record.noise.samples, "call")
        yield f"rounding alone, {record.noise.precision} in {calls}: {_figures(record.noise)}"


def _figures(noise: RoundingNoise) -> str:
    figures = []
    if noise.images:
        rms_error = max(one.rms_error for one in noise.images)
        psnr_db = -20 * math.log10(rms_error) if rms_error else math.inf
        figures = [f"PSNR {psnr_db:.1f} dB", f"largest error {max(one.max_error for one in noise.images):.4f}"]
    errors = (*noise.step_errors, *noise.latent_errors)
    figures += [f"relative latent error {max(errors):.4f}"] if errors else []
    if noise.flicker:
        figures.append(f"flicker {max(noise.flicker):.4f}")
    if noise.audio_errors:
        figures.append(f"relative error of the audio {max(noise.audio_errors):.4f}")
    return f"{', '.join(figures)} {allowed(f'{NOISE_FACTOR:g} times')}"


def _largest_rms_error(noise: ErrorSize) -> float:
    return NOISE_FACTOR * noise.rms_error + RMS_ERROR_FLOOR
