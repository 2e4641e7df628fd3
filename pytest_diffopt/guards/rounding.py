"""Where rounding alone moves the reference past a threshold, a comparison of that size is inconclusive."""

import math
from collections.abc import Sequence
from dataclasses import replace

from pytest_diffopt.guards.audio import audio_violations
from pytest_diffopt.guards.audio_thresholds import AudioThresholds
from pytest_diffopt.guards.failure_text import explain
from pytest_diffopt.guards.image_noise import is_within_noise, noise_lines
from pytest_diffopt.guards.image_thresholds import ImageThresholds
from pytest_diffopt.guards.images import judge_images, other_denoisers, worst_figures
from pytest_diffopt.guards.verdict import Outcome, Verdict
from pytest_diffopt.guards.videos import video_violations
from pytest_diffopt.records import ErrorSize, ImageDifference, ImageRecord, RoundingNoise

#: An optimized pipeline may round more than a sample that reaches this fraction of a threshold, and so reach all of it.
_FRACTION_REACHED = 0.5
#: The hint for a call whose image rounding decides.
USE_A_STABLE_CALL = (
    "test a call that is less sensitive to rounding: another seed or prompt, more steps, less guidance; "
    "or pass thresholds=ImageThresholds(...) with the reason in a comment"
)


def noise_of(precision: str, samples: Sequence[ImageRecord]) -> RoundingNoise:
    """Return the largest of each figure over the samples.

    Args:
        precision: the precision of the samples, for messages.
        samples: calls of the reference in that precision, each compared with the reference itself.
    """
    return RoundingNoise(
        precision=precision,
        samples=len(samples),
        images=tuple(
            ErrorSize(max_error=max_error, rms_error=rms_error, bias=bias)
            for image in zip(*(one.differences for one in samples), strict=True)
            for max_error, rms_error, bias in [_largest([_sizes(one) for one in image])]
        ),
        step_errors=_largest([[step.relative_error for step in one.drift] for one in samples]),
        latent_errors=_largest([[latents.relative_error for latents in one.latents] for one in samples]),
        flicker=_largest([[video.flicker for video in one.videos] for one in samples]),
        audio_errors=_largest([[10 ** (-audio.snr_db / 20) for audio in one.audio] for one in samples]),
        spectral_distances=_largest([[audio.spectral_distance for audio in one.audio] for one in samples]),
    )


def unless_rounding_decides(
    verdict: Verdict, record: ImageRecord, samples: Sequence[ImageRecord], thresholds: ImageThresholds
) -> Verdict:
    """Return an inconclusive verdict instead of a regression if a sample of rounding reaches the thresholds as well.

    This excuses only a difference of the size that rounding was measured to give; an image with a defect, and any error
    past `guards.image_noise` in the image or in a step, remains a regression.

    Args:
        verdict: a regression.
        record: the record that was judged, with its noise.
        samples: calls of the reference in the same precision, each compared with the reference itself.
        thresholds: how far apart images and latents may be.
    """
    other = [one for one in samples if judge_images(one, _half_of(thresholds)).is_failure]
    if not other or any(other_denoisers(record)) or _has_defect(record) or not _is_within_noise(record):
        return verdict
    facts = [line.strip() for line in verdict.explanation if line.startswith("  ")]
    measured = set(noise_lines(record))
    return replace(
        verdict,
        outcome=Outcome.INCONCLUSIVE,
        explanation=explain(
            "rounding decides this image, so this comparison proves nothing",
            [
                *(line for line in facts if line not in measured),
                f"{len(other)} of {len(samples)} calls that only round reach half of the thresholds: {_worst(other)}",
                *noise_lines(record),
            ],
            seen=f"in {record.subject}; pixel values are in [0, 1]",
            hint=USE_A_STABLE_CALL,
        ),
    )


def is_near_noise(record: ImageRecord) -> bool:
    """Return whether no error is larger than twice its limit, so that another sample may still explain it."""
    noise = record.noise
    return noise is not None and not _has_defect(record) and _is_within_noise(replace(record, noise=_doubled(noise)))


def _doubled(noise: RoundingNoise) -> RoundingNoise:
    return replace(
        noise,
        images=tuple(
            ErrorSize(max_error=2 * one.max_error, rms_error=2 * one.rms_error, bias=2 * one.bias)
            for one in noise.images
        ),
        step_errors=_twice(noise.step_errors),
        latent_errors=_twice(noise.latent_errors),
        flicker=_twice(noise.flicker),
        audio_errors=_twice(noise.audio_errors),
        spectral_distances=_twice(noise.spectral_distances),
    )


def _twice(errors: tuple[float, ...]) -> tuple[float, ...]:
    return tuple(2 * error for error in errors)


def _is_within_noise(record: ImageRecord) -> bool:
    """Return whether no image, video, audio or step differs by more than rounding alone was measured to do."""
    derived = ImageThresholds(max_mean_error=math.inf)
    is_noise = not video_violations(record, derived) and not audio_violations(record, AudioThresholds())
    return is_noise and is_within_noise(record)


def _sizes(difference: ImageDifference) -> tuple[float, float, float]:
    return difference.max_error, difference.rms_error, abs(difference.bias)


def _half_of(thresholds: ImageThresholds) -> ImageThresholds:
    """Return thresholds with half the room; half an error is 6 dB. What is derived from the samples is no limit."""
    psnr_db, max_error, latent_error = thresholds.min_psnr_db, thresholds.max_error, thresholds.max_latent_error
    flicker = thresholds.max_flicker
    return ImageThresholds(
        min_ssim=1 - (1 - thresholds.min_ssim) * _FRACTION_REACHED,
        min_psnr_db=-math.inf if psnr_db is None else psnr_db - 20 * math.log10(_FRACTION_REACHED),
        max_error=math.inf if max_error is None else max_error * _FRACTION_REACHED,
        max_mean_error=thresholds.max_mean_error * _FRACTION_REACHED,
        max_flip=thresholds.max_flip * _FRACTION_REACHED,
        max_lpips=None if thresholds.max_lpips is None else thresholds.max_lpips * _FRACTION_REACHED,
        max_latent_error=math.inf if latent_error is None else latent_error * _FRACTION_REACHED,
        max_flicker=math.inf if flicker is None else flicker * _FRACTION_REACHED,
    )


def _worst(records: Sequence[ImageRecord]) -> str:
    worst = [worst_figures(one) for one in records]
    names = ("ssim", "latent_error", "audio_snr_db")
    ssims, latent_errors, snrs = ([one[name] for one in worst if name in one] for name in names)
    figures = [f"SSIM {min(ssims):.4f}"] if ssims else []
    figures += [f"relative latent error {max(latent_errors):.4f}"] if latent_errors else []
    figures += [f"audio SNR {min(snrs):.1f} dB"] if snrs else []
    return ", ".join(figures)


def _largest(rows: Sequence[Sequence[float]]) -> tuple[float, ...]:
    """Return the largest of each column, up to the end of the shortest row; NaN is the largest."""
    return tuple(math.nan if any(map(math.isnan, column)) else max(column) for column in zip(*rows, strict=False))


def _has_defect(record: ImageRecord) -> bool:
    compared = (record.differences, record.latents, record.audio)
    return any(one.defects for its in compared for one in its)
