"""Judge whether an image is close enough to its reference."""

import math
from collections.abc import Callable, Iterable, Iterator

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


def judge_images(record: ImageRecord, thresholds: ImageThresholds, *, hint: str = OWN_THRESHOLDS) -> Verdict:
    """Judge a record: images or latents past a threshold, and images with defects, are regressions.

    Args:
        record: the comparison of images and latents.
        thresholds: how far apart images and latents may be.
        hint: what to do when the difference is intended.
    """
    sizes = record.noise.images if record.noise else (None,) * len(record.differences)
    pairs = zip(record.differences, sizes, strict=True)
    images = [[*one.defects, *_violations(one, thresholds, noise)] for one, noise in pairs]
    latents = [
        [*one.defects, *_latent_violations(number, record, thresholds)] for number, one in enumerate(record.latents)
    ]
    outside = _outside(record, thresholds)
    is_failure = any([*images, *latents, outside])
    return Verdict(
        concern=Concern.IMAGES,
        outcome=Outcome.REGRESSED if is_failure else Outcome.PASSED,
        subject=record.subject,
        summary=_summary(record),
        explanation=_explanation(record, images or latents, outside, thresholds, hint) if is_failure else (),
        figures=worst_figures(record) | ({"first_step_outside": outside[0].step} if outside else {}),
    )


def _summary(record: ImageRecord) -> str:
    figures = worst_figures(record)
    if not record.differences:
        return f"relative latent error {figures['latent_error']:.4f}"
    lpips = f", LPIPS {figures['lpips']:.4f}" if "lpips" in figures else ""
    return f"SSIM {figures['ssim']:.4f}, PSNR {figures['psnr_db']:.1f} dB, FLIP {figures['flip']:.4f}{lpips}"


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
    return figures | ({"latent_error": _worst(max, latent_errors)} if latent_errors else {})


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


def _explanation(
    record: ImageRecord, lines: list[list[str]], outside: list[StepDrift], thresholds: ImageThresholds, hint: str
) -> tuple[str, ...]:
    noun = "image" if record.differences else "latent"
    facts = [f"{noun} {number}: {line}" for number, its in enumerate(lines) for line in its]
    return explain(
        _headline(noun, lines),
        [*facts, *_origin(record, outside, thresholds), *noise_lines(record)],
        seen=f"in {record.subject}; pixel values are in [0, 1]",
        hint=hint,
    )


def _headline(noun: str, lines: list[list[str]]) -> str:
    failing = sum(map(bool, lines))
    if not failing:
        return "the latents differ from the reference during denoising"
    return f"{failing} of {counted(len(lines), noun)} {'differs' if failing == 1 else 'differ'} from the reference"


def _origin(record: ImageRecord, outside: list[StepDrift], thresholds: ImageThresholds) -> Iterator[str]:
    if outside:
        first = outside[0]
        line = _latent_line(first, largest_step_error(thresholds, record.noise, first.step))
        yield f"first difference in step {first.step} of {len(record.drift)}: {line}"
    elif record.drift:
        yield f"the latents of all {counted(len(record.drift), 'step')} agree: the images differ after the last step"
    if record.first_module:
        yield _module_line(record.first_module)


def _module_line(drift: ModuleDrift) -> str:
    where = "outside the denoise loop" if drift.step is None else f"step {drift.step}"
    return (
        f"first differing module: {drift.module} ({drift.module_type}), {where}: relative error "
        f"{drift.relative_error:.4f} of its output, {drift.input_error:.4f} of its inputs"
    )
