"""Judge whether the image is still the image."""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from pytest_diffopt.guards.failure_text import allowed, counted, explain
from pytest_diffopt.guards.verdict import Outcome, Verdict
from pytest_diffopt.records import (
    Concern,
    Device,
    ImageDifference,
    ImageRecord,
    LatentDifference,
    ModuleDrift,
    StepDrift,
    Subject,
)


@dataclass(frozen=True, kw_only=True, slots=True)
class ImageThresholds:
    """How far an image may be from its reference; every one of them must hold. Pixel values are in [0, 1].

    The defaults leave room for what bfloat16 and int8 cost the tiny pipelines at their plain calls;
    `docs/image-comparison.md` has the figures. `image_baseline` learns those of one recipe.

    Attributes:
        min_ssim: the least structural similarity.
        min_psnr_db: the least peak signal-to-noise ratio, in decibels.
        max_error: the largest absolute difference that any pixel may have.
        max_mean_error: the largest mean absolute difference.
        max_flip: the largest mean FLIP.
        max_lpips: the largest LPIPS; without it LPIPS is not measured, which needs the extra `lpips`.
        max_latent_error: the longest difference of latents, as a share of the reference's length, after any step and
            where latents are asked for in place of images.
    """

    min_ssim: float = 0.94
    min_psnr_db: float = 28.0
    max_error: float = 0.6
    max_mean_error: float = 0.02
    max_flip: float = 0.18
    max_lpips: float | None = None
    max_latent_error: float = 0.12

    @property
    def ask_for_lpips(self) -> bool:
        """Whether LPIPS is to be measured."""
        return self.max_lpips is not None


#: What float32 rounds off where only the order of additions changes; measured without a GPU, where the worst of four
#: pipelines over seeds and prompts was 118.9 dB, FLIP 0.0001 and latents less than 0.0005 off.
EXACT_ARITHMETIC = ImageThresholds(
    min_ssim=0.9999, min_psnr_db=80.0, max_error=0.005, max_mean_error=0.0002, max_flip=0.002, max_latent_error=0.001
)
# Another scheduler or model draws another image, but the reference carries it too.
_KEEPS_ARITHMETIC = frozenset(
    {
        "attn_processor_2_0",
        "begin_index",
        "channels_last",
        "compile",
        "compile_cache",
        "distilled",
        "fp32",
        "fuse_qkv",
        "inductor",
        "pointwise_linears",
        "scheduler",
        "sdpa",
        "tiny_autoencoder",
        "vanilla_attention",
    }
)
#: What to do where the thresholds are the test's own.
OWN_THRESHOLDS = "if this is wanted: pass thresholds=ImageThresholds(...) with the reason beside it"


def default_thresholds(subject: Subject) -> ImageThresholds:
    """Return what holds where a test says nothing: sharper where the recipe leaves float32 as it is.

    On a GPU convolutions may take TensorFloat-32 by themselves, so that only the CPU is held to it.
    """
    names = {part.partition("(")[0] for part in subject.recipe.split(" + ")}
    is_exact = subject.device is Device.CPU and "fp32" in names and names <= _KEEPS_ARITHMETIC
    return EXACT_ARITHMETIC if is_exact else ImageThresholds()


def judge_images(record: ImageRecord, thresholds: ImageThresholds, *, hint: str = OWN_THRESHOLDS) -> Verdict:
    """An image past any threshold, latents past theirs after any step, or a defect of its own, is a regression.

    Args:
        record: what was compared.
        thresholds: how far apart images and latents may be.
        hint: what to do when the difference is wanted.
    """
    images = [[*one.defects, *_violations(one, thresholds)] for one in record.differences]
    latents = [[*one.defects, *_latent_violations(one, thresholds)] for one in record.latents]
    outside = _outside(record.drift, thresholds)
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
        return f"latents {figures['latent_error']:.4f} off"
    lpips = f", LPIPS {figures['lpips']:.4f}" if "lpips" in figures else ""
    return f"SSIM {figures['ssim']:.4f}, PSNR {figures['psnr_db']:.1f} dB, FLIP {figures['flip']:.4f}{lpips}"


def worst_figures(record: ImageRecord) -> dict[str, float]:
    """Return the worst of each figure over all images, latents and steps; none of what the record lacks."""
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
    """Return the worst figure of a batch; NaN is worse than any, and `min` keeps it only where it stands first."""
    figures = tuple(figures)
    return math.nan if any(map(math.isnan, figures)) else choose(figures)


def _violations(difference: ImageDifference, thresholds: ImageThresholds) -> list[str]:
    # Written as "not (good)" so that a NaN, which compares false with everything, is a violation.
    rules = [
        (
            difference.ssim >= thresholds.min_ssim,
            f"SSIM {difference.ssim:.4f} (at least {thresholds.min_ssim:.4g} wanted)",
        ),
        (
            difference.psnr_db >= thresholds.min_psnr_db,
            f"PSNR {difference.psnr_db:.1f} dB (at least {thresholds.min_psnr_db:.4g} dB wanted)",
        ),
        (
            difference.max_error <= thresholds.max_error,
            f"largest error of a pixel {difference.max_error:.4f} {allowed(f'{thresholds.max_error:.4g}')}",
        ),
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


def _latent_violations(difference: LatentDifference, thresholds: ImageThresholds) -> list[str]:
    return [] if difference.relative_error <= thresholds.max_latent_error else [_latents_off(difference, thresholds)]


def _latents_off(seen: LatentDifference | StepDrift, thresholds: ImageThresholds) -> str:
    limit = allowed(f"{thresholds.max_latent_error:.4g}")
    return f"latents {seen.relative_error:.4f} of their length off {limit}, cosine {seen.cosine:.4f}"


def _outside(drift: Sequence[StepDrift], thresholds: ImageThresholds) -> list[StepDrift]:
    return [one for one in drift if not one.relative_error <= thresholds.max_latent_error]


def _explanation(
    record: ImageRecord, lines: list[list[str]], outside: list[StepDrift], thresholds: ImageThresholds, hint: str
) -> tuple[str, ...]:
    noun = "image" if record.differences else "latent"
    facts = [f"{noun} {number}: {line}" for number, its in enumerate(lines) for line in its]
    return explain(
        _headline(noun, lines),
        [*facts, *_where_it_began(record, outside, thresholds)],
        seen=f"in {record.subject}; pixel values are in [0, 1]",
        hint=hint,
    )


def _headline(noun: str, lines: list[list[str]]) -> str:
    failing = sum(map(bool, lines))
    if not failing:
        return "the latents leave the reference's on the way to the image"
    return f"{failing} of {counted(len(lines), noun)} {'differs' if failing == 1 else 'differ'} from the reference"


def _where_it_began(record: ImageRecord, outside: list[StepDrift], thresholds: ImageThresholds) -> Iterator[str]:
    if outside:
        first = outside[0]
        yield f"first off in step {first.step} of {len(record.drift)}: {_latents_off(first, thresholds)}"
    elif record.drift:
        yield f"the latents of all {counted(len(record.drift), 'step')} agree: the difference comes after the last"
    if record.first_module:
        yield _module_line(record.first_module)


def _module_line(drift: ModuleDrift) -> str:
    where = "outside of the denoise loop" if drift.step is None else f"step {drift.step}"
    return (
        f"first module apart: {drift.module} ({drift.module_type}), {where}: its output is {drift.relative_error:.4f} "
        f"of its length off, its inputs {drift.input_error:.4f}"
    )
