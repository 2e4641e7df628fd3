"""Judge whether an image is close enough to its reference."""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from pytest_diffopt.arguments import LIMIT, NUMBER, Rule, require
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

_SSIM = Rule(text="a number from -1 to 1", holds=lambda value: NUMBER.holds(value) and -1 <= value <= 1)


@dataclass(frozen=True, kw_only=True, slots=True)
class ImageThresholds:
    """How far an image may be from its reference; all thresholds apply. Pixel values are in [0, 1].

    The defaults leave room for the error of bfloat16 and int8 in the tiny pipelines at their plain calls;
    `docs/image-comparison.md` has the figures. `image_baseline` learns the thresholds of one recipe.

    Attributes:
        min_ssim: the least structural similarity.
        min_psnr_db: the least peak signal-to-noise ratio, in decibels.
        max_error: the largest absolute difference of any pixel.
        max_mean_error: the largest mean absolute difference.
        max_flip: the largest mean FLIP.
        max_lpips: the largest LPIPS; None to not measure LPIPS. Needs the extra `lpips`.
        max_latent_error: the largest norm of the latents' difference, as a fraction of the norm of the reference:
            after each step, and where a call returns latents instead of images.
    """

    min_ssim: float = 0.94
    min_psnr_db: float = 28.0
    max_error: float = 0.6
    max_mean_error: float = 0.02
    max_flip: float = 0.18
    max_lpips: float | None = None
    max_latent_error: float = 0.12

    def __post_init__(self) -> None:
        """Raise ArgumentError for a threshold that is no number, or that no image could keep."""
        require(_SSIM, self.min_ssim, "ImageThresholds(min_ssim=...)")
        require(LIMIT.or_none(), self.max_lpips, "ImageThresholds(max_lpips=...)")
        for name in ("min_psnr_db", "max_error", "max_mean_error", "max_flip", "max_latent_error"):
            require(LIMIT, getattr(self, name), f"ImageThresholds({name}=...)")

    @property
    def ask_for_lpips(self) -> bool:
        """Whether LPIPS must be measured."""
        return self.max_lpips is not None


#: Room for float32 rounding where only the order of additions changes. Measured without a GPU: the worst of four
#: pipelines over seeds and prompts was 118.9 dB, FLIP 0.0001 and a relative latent error below 0.0005.
EXACT_ARITHMETIC = ImageThresholds(
    min_ssim=0.9999, min_psnr_db=80.0, max_error=0.005, max_mean_error=0.0002, max_flip=0.002, max_latent_error=0.001
)
# A different scheduler or model draws a different image, but the reference uses the same one.
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
#: The hint where the thresholds are set in the test.
OWN_THRESHOLDS = "to accept this: pass thresholds=ImageThresholds(...) with the reason in a comment"


def default_thresholds(subject: Subject) -> ImageThresholds:
    """Return the thresholds for a test that sets none: stricter where the recipe keeps float32 arithmetic.

    The stricter ones apply only on the CPU: on a GPU convolutions may use TensorFloat-32 by default.
    """
    names = {part.partition("(")[0] for part in subject.recipe.split(" + ")}
    is_exact = subject.device is Device.CPU and "fp32" in names and names <= _KEEPS_ARITHMETIC
    return EXACT_ARITHMETIC if is_exact else ImageThresholds()


def judge_images(record: ImageRecord, thresholds: ImageThresholds, *, hint: str = OWN_THRESHOLDS) -> Verdict:
    """Judge a record: images or latents past a threshold, and images with defects, are regressions.

    Args:
        record: the comparison of images and latents.
        thresholds: how far apart images and latents may be.
        hint: what to do when the difference is intended.
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


def _violations(difference: ImageDifference, thresholds: ImageThresholds) -> list[str]:
    # Each rule states what is good and is negated, so that NaN, which compares false with everything, is a violation.
    rules = [
        (
            difference.ssim >= thresholds.min_ssim,
            f"SSIM {difference.ssim:.4f} (at least {thresholds.min_ssim:.4g} required)",
        ),
        (
            difference.psnr_db >= thresholds.min_psnr_db,
            f"PSNR {difference.psnr_db:.1f} dB (at least {thresholds.min_psnr_db:.4g} dB required)",
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
    return [] if difference.relative_error <= thresholds.max_latent_error else [_latent_line(difference, thresholds)]


def _latent_line(seen: LatentDifference | StepDrift, thresholds: ImageThresholds) -> str:
    limit = allowed(f"{thresholds.max_latent_error:.4g}")
    return f"relative latent error {seen.relative_error:.4f} {limit}, cosine {seen.cosine:.4f}"


def _outside(drift: Sequence[StepDrift], thresholds: ImageThresholds) -> list[StepDrift]:
    return [one for one in drift if not one.relative_error <= thresholds.max_latent_error]


def _explanation(
    record: ImageRecord, lines: list[list[str]], outside: list[StepDrift], thresholds: ImageThresholds, hint: str
) -> tuple[str, ...]:
    noun = "image" if record.differences else "latent"
    facts = [f"{noun} {number}: {line}" for number, its in enumerate(lines) for line in its]
    return explain(
        _headline(noun, lines),
        [*facts, *_origin(record, outside, thresholds)],
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
        yield f"first difference in step {first.step} of {len(record.drift)}: {_latent_line(first, thresholds)}"
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
