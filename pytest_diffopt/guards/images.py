"""Judge whether images, videos and audio are close enough to their references."""

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Self

from pytest_diffopt.guards.audio import audio_violations
from pytest_diffopt.guards.audio_thresholds import AudioThresholds, default_audio_thresholds
from pytest_diffopt.guards.failure_text import allowed, counted, explain
from pytest_diffopt.guards.image_noise import (
    largest_bias,
    largest_error,
    largest_latent_error,
    largest_step_error,
    least_psnr_db,
    noise_lines,
)
from pytest_diffopt.guards.image_thresholds import ImageThresholds
from pytest_diffopt.guards.verdict import Outcome, Verdict
from pytest_diffopt.guards.videos import frame_names, frame_ranges, video_violations, worst_frame
from pytest_diffopt.records import (
    Concern,
    ErrorSize,
    ImageDifference,
    ImageRecord,
    LatentDifference,
    ModuleDrift,
    StepDrift,
)

#: The hint where the thresholds are set in the test.
OWN_THRESHOLDS = "to accept this: pass thresholds=ImageThresholds(...) with the reason in a comment"


def judge_images(
    record: ImageRecord,
    thresholds: ImageThresholds,
    *,
    audio_thresholds: AudioThresholds | None = None,
    hint: str = OWN_THRESHOLDS,
) -> Verdict:
    """Judge a record: images, videos, audio or latents past a threshold, and those with defects, are regressions.

    Args:
        record: the comparison of images, videos, audio and latents.
        thresholds: how far apart images, frames and latents may be.
        audio_thresholds: how far apart waveforms may be; None for those that go with `thresholds`.
        hint: what to do when the difference is intended.
    """
    facts = _Facts.of(record, thresholds, audio_thresholds or default_audio_thresholds(thresholds))
    outside = facts.outside
    return Verdict(
        concern=Concern.IMAGES,
        outcome=Outcome.REGRESSED if facts.is_failure else Outcome.PASSED,
        subject=record.subject,
        summary=_summary(record),
        explanation=_explanation(record, facts, thresholds, hint) if facts.is_failure else (),
        figures=worst_figures(record) | ({"first_step_outside": outside[0].step} if outside else {}),
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class _Facts:
    """What is wrong with a record.

    Attributes:
        images: the lines of each image, frame or entry of latents.
        videos: the lines of each video as a sequence of frames.
        audio: the lines of each waveform.
        denoisers: the lines of the steps that another denoiser ran.
        outside: the steps whose latents exceed their limit.
    """

    images: list[list[str]]
    videos: list[str]
    audio: list[str]
    denoisers: list[str]
    outside: list[StepDrift]

    @classmethod
    def of(cls, record: ImageRecord, thresholds: ImageThresholds, audio_thresholds: AudioThresholds) -> Self:
        """Judge each part of a record."""
        known = record.noise.images if record.noise else ()
        sizes = known or (None,) * len(record.differences)
        pairs = zip(record.differences, sizes, strict=True)
        images = [[*one.defects, *_violations(one, thresholds, noise)] for one, noise in pairs]
        latents = [
            [*one.defects, *_latent_violations(number, record, thresholds)] for number, one in enumerate(record.latents)
        ]
        return cls(
            images=images or latents,
            videos=video_violations(record, thresholds),
            audio=audio_violations(record, audio_thresholds),
            denoisers=list(other_denoisers(record)),
            outside=_outside(record, thresholds),
        )

    @property
    def is_failure(self) -> bool:
        """Whether anything is wrong."""
        return any([*self.images, self.videos, self.audio, self.denoisers, self.outside])


def other_denoisers(record: ImageRecord) -> Iterator[str]:
    """Yield a line for each step that another denoiser ran than in the reference, where both have all of them."""
    if set(record.denoisers).isdisjoint(record.reference_denoisers):
        return  # a reference of another architecture, or a stored one
    for step, pair in enumerate(zip(record.denoisers, record.reference_denoisers, strict=False)):
        if pair[0] != pair[1] and all(pair):
            yield f"step {step} ran {pair[0]}, and {pair[1]} in the reference"


def _summary(record: ImageRecord) -> str:
    figures = worst_figures(record)
    parts = [
        f"{one.num_frames} frames of {one.width} x {one.height} ({one.reference_num_frames} of "
        f"{one.reference_width} x {one.reference_height} in the reference)"
        for one in record.videos
        if not one.has_same_shape
    ]
    if record.differences:
        parts += [f"SSIM {figures['ssim']:.4f}, PSNR {figures['psnr_db']:.1f} dB, FLIP {figures['flip']:.4f}"]
    elif "latent_error" in figures and not parts:
        parts += [f"relative latent error {figures['latent_error']:.4f}"]
    parts += [f"LPIPS {figures['lpips']:.4f}"] if "lpips" in figures else []
    parts += [f"flicker {figures['flicker']:.4f}"] if "flicker" in figures else []
    parts += [f"audio SNR {figures['audio_snr_db']:.1f} dB"] if "audio_snr_db" in figures else []
    return ", ".join(parts)


def worst_figures(record: ImageRecord) -> dict[str, float]:
    """Return the worst of each figure over all images, latents and steps, without figures that were not measured."""
    figures = {}
    if record.differences:
        figures = {
            "ssim": _worst(min, (one.ssim for one in record.differences)),
            "psnr_db": _worst(min, (one.psnr_db for one in record.differences)),
            "max_error": _worst(max, (one.max_error for one in record.differences)),
            "mean_error": _worst(max, (one.mean_error for one in record.differences)),
            "flip": _worst(max, (one.flip for one in record.differences)),
        }
    lpips = [one.lpips for one in record.differences if one.lpips is not None]
    figures |= {"lpips": _worst(max, lpips)} if lpips else {}
    latent_errors = [*(one.relative_error for one in record.latents), *(one.relative_error for one in record.drift)]
    figures |= {"latent_error": _worst(max, latent_errors)} if latent_errors else {}
    if any(one.has_same_shape for one in record.videos):
        figures["flicker"] = _worst(max, (one.flicker for one in record.videos))
    if record.audio:
        figures["audio_snr_db"] = _worst(min, (one.snr_db for one in record.audio))
        figures["spectral_distance"] = _worst(max, (one.spectral_distance for one in record.audio))
    return figures


def _worst(choose: Callable[[Iterable[float]], float], figures: Iterable[float]) -> float:
    """Return the worst figure of a batch. NaN is the worst; `min` and `max` return it only where it comes first."""
    figures = tuple(figures)
    return math.nan if any(map(math.isnan, figures)) else choose(figures)


def _violations(difference: ImageDifference, thresholds: ImageThresholds, noise: ErrorSize | None) -> list[str]:
    psnr_db, max_error = least_psnr_db(thresholds, noise), largest_error(thresholds, noise)
    bias = largest_bias(thresholds, noise)
    # Each rule states what is good and is negated, so that NaN, which compares false with everything, is a violation.
    rules = [
        (
            difference.ssim >= thresholds.min_ssim,
            f"SSIM {difference.ssim:.4f} (at least {thresholds.min_ssim:.4g} required)",
        ),
        (
            difference.psnr_db >= psnr_db,
            f"PSNR {difference.psnr_db:.1f} dB (at least {psnr_db:.4g} dB required)",
        ),
        (
            difference.max_error <= max_error,
            f"largest error of a pixel {difference.max_error:.4f} {allowed(f'{max_error:.4g}')}",
        ),
        (abs(difference.bias) <= bias, f"mean signed error {difference.bias:+.4f} {allowed(f'{bias:.4g}')}"),
        (
            difference.mean_error <= thresholds.max_mean_error,
            f"mean error {difference.mean_error:.4f} {allowed(f'{thresholds.max_mean_error:.4g}')}",
        ),
        (difference.flip <= thresholds.max_flip, f"FLIP {difference.flip:.4f} {allowed(f'{thresholds.max_flip:.4g}')}"),
    ]
    if thresholds.max_lpips is not None:
        rules.append(_lpips_rule(difference, thresholds.max_lpips))
    return [line for is_good, line in rules if not is_good]


def _lpips_rule(difference: ImageDifference, largest: float) -> tuple[bool, str]:
    assert difference.lpips is not None, "unreachable because LPIPS is measured where it is judged"  # noqa: S101
    return difference.lpips <= largest, f"LPIPS {difference.lpips:.4f} {allowed(f'{largest:.4g}')}"


def _latent_violations(number: int, record: ImageRecord, thresholds: ImageThresholds) -> list[str]:
    seen, limit = record.latents[number], largest_latent_error(thresholds, record.noise, number)
    return [] if seen.relative_error <= limit else [_latent_line(seen, limit)]


def _latent_line(seen: LatentDifference | StepDrift, limit: float) -> str:
    return f"relative latent error {seen.relative_error:.4f} {allowed(f'{limit:.4g}')}, cosine {seen.cosine:.4f}"


def _outside(record: ImageRecord, thresholds: ImageThresholds) -> list[StepDrift]:
    return [
        one for one in record.drift if not one.relative_error <= largest_step_error(thresholds, record.noise, one.step)
    ]


def _explanation(record: ImageRecord, facts: _Facts, thresholds: ImageThresholds, hint: str) -> tuple[str, ...]:
    lines = [*facts.denoisers, *facts.videos, *_image_lines(record, facts), *facts.audio]
    return explain(
        _headline(record, facts),
        [*lines, *_origin(record, facts, thresholds), *noise_lines(record)],
        seen=f"in {record.subject}; pixel values are in [0, 1]",
        hint=hint,
    )


def _image_lines(record: ImageRecord, facts: _Facts) -> list[str]:
    """Return the lines of each image or entry of latents; of the frames of videos, those of the worst frame."""
    names = frame_names(record) if record.differences else [f"latent {number}" for number in range(len(facts.images))]
    failing = [number for number, lines in enumerate(facts.images) if lines]
    if not record.videos or not failing:
        return [f"{names[number]}: {line}" for number in failing for line in facts.images[number]]
    worst = failing[worst_frame([record.differences[number] for number in failing])]
    others = [number for number in failing if number != worst]
    lines = [f"{names[worst]}, the worst: {line}" for line in facts.images[worst]]
    if others:
        lines.append(f"also past a threshold: {_listed(record, others, names)}")
    return lines


def _listed(record: ImageRecord, frames: list[int], names: list[str]) -> str:
    if len(record.videos) > 1:
        return ", ".join(names[number] for number in frames)
    numbers = [record.videos[0].frames[number] for number in frames]
    return f"{'frame' if len(numbers) == 1 else 'frames'} {frame_ranges(numbers)}"


def _headline(record: ImageRecord, facts: _Facts) -> str:
    noun = ("frame" if record.videos else "image") if record.differences else "latent"
    failing = sum(map(bool, facts.images))
    if failing:
        total = counted(len(facts.images), noun)
        return f"{failing} of {total} {'differs' if failing == 1 else 'differ'} from the reference"
    if facts.videos:
        return "the frames differ from the reference as a sequence"
    if facts.audio:
        return "the audio differs from the reference"
    if facts.denoisers:
        return "another denoiser ran than in the reference"
    return "the latents differ from the reference during denoising"


def _origin(record: ImageRecord, facts: _Facts, thresholds: ImageThresholds) -> Iterator[str]:
    if facts.outside:
        first = facts.outside[0]
        line = _latent_line(first, largest_step_error(thresholds, record.noise, first.step))
        yield f"first difference in step {first.step} of {len(record.drift)}: {line}"
    elif record.drift and any([*facts.images, facts.videos]):
        noun = "videos" if record.videos else "images"
        agree = f"the latents of all {counted(len(record.drift), 'step')} agree"
        yield f"{agree}: the {noun} differ after the last step"
    if record.first_module:
        yield _module_line(record.first_module)


def _module_line(drift: ModuleDrift) -> str:
    where = "outside the denoise loop" if drift.step is None else f"step {drift.step}"
    return (
        f"first differing module: {drift.module} ({drift.module_type}), {where}: relative error "
        f"{drift.relative_error:.4f} of its output, {drift.input_error:.4f} of its inputs"
    )
