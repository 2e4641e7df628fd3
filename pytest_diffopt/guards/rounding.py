"""Judge whether rounding decides an image, so that comparing it proves nothing."""

import math
from collections.abc import Sequence
from dataclasses import replace

from pytest_diffopt.guards.failure_text import explain
from pytest_diffopt.guards.images import ImageThresholds, judge_images, worst_figures
from pytest_diffopt.guards.verdict import Outcome, Verdict
from pytest_diffopt.records import ImageRecord

#: The pipeline also rounds inside its modules, the reference only between them. Over ten pipelines and all recipes this
#: made the latent error of the first step up to about twice the reference's, so that much is still rounding.
LARGEST_RATIO = 2.0
#: The hint for a call whose image rounding decides.
USE_A_STABLE_CALL = (
    "test a call that is less sensitive to rounding: another seed or prompt, more steps, less guidance; "
    "or pass thresholds=ImageThresholds(...) with the reason in a comment"
)


def judge_at_edge(
    verdict: Verdict, record: ImageRecord, rounded: Sequence[ImageRecord], thresholds: ImageThresholds, dtype: str
) -> Verdict:
    """Return an inconclusive verdict instead of a regression if rounding moves the reference past half the thresholds.

    Such a call must not hide a bug: the regression stays if an image has a defect, or if the latents already differ
    after the first step by more than their threshold or twice the rounded reference's error.

    Args:
        verdict: a regression.
        record: the record that was judged.
        rounded: the reference drawn again with rounding, each compared with the reference itself.
        thresholds: how far apart images and latents may be.
        dtype: the dtype that it was rounded to, in torch's notation.
    """
    other = [one for one in rounded if judge_images(one, _half_of(thresholds)).is_failure]
    if not other or not record.drift or not all(one.drift for one in rounded):
        return verdict
    first, first_rounded = _first_error(record), max(map(_first_error, rounded))
    how_many = f"in {len(other)} of {len(rounded)} variants"
    seen = f"the reference rounded to {dtype} is past half the thresholds {how_many}: {_worst(other)}"
    early = f"after the first step relative latent error {first:.4f}, the rounded reference's {first_rounded:.4f}"
    allowed = min(thresholds.max_latent_error, LARGEST_RATIO * first_rounded)
    if _has_defect(record) or not first <= allowed:
        return replace(verdict, explanation=(*verdict.explanation, f"{seen}; rounding does not explain it: {early}"))
    facts = [line.strip() for line in verdict.explanation if line.startswith("  ")]
    return replace(
        verdict,
        outcome=Outcome.INCONCLUSIVE,
        explanation=explain(
            "rounding decides this image, so this comparison proves nothing",
            [*facts, seen, early],
            seen=f"in {record.subject}; pixel values are in [0, 1]",
            hint=USE_A_STABLE_CALL,
        ),
    )


def _half_of(thresholds: ImageThresholds) -> ImageThresholds:
    """Return thresholds with half the room, because the reference is rounded less; half an error is 6 dB."""
    return ImageThresholds(
        min_ssim=1 - (1 - thresholds.min_ssim) / LARGEST_RATIO,
        min_psnr_db=thresholds.min_psnr_db + 20 * math.log10(LARGEST_RATIO),
        max_error=thresholds.max_error / LARGEST_RATIO,
        max_mean_error=thresholds.max_mean_error / LARGEST_RATIO,
        max_flip=thresholds.max_flip / LARGEST_RATIO,
        max_lpips=None if thresholds.max_lpips is None else thresholds.max_lpips / LARGEST_RATIO,
        max_latent_error=thresholds.max_latent_error / LARGEST_RATIO,
    )


def _worst(records: Sequence[ImageRecord]) -> str:
    worst = max((worst_figures(one) for one in records), key=lambda figures: figures["latent_error"])
    image = f"SSIM {worst['ssim']:.4f}, PSNR {worst['psnr_db']:.1f} dB, " if "ssim" in worst else ""
    return f"{image}relative latent error {worst['latent_error']:.4f}"


def _first_error(record: ImageRecord) -> float:
    return record.drift[0].relative_error


def _has_defect(record: ImageRecord) -> bool:
    return any(one.defects for one in record.differences) or any(one.defects for one in record.latents)
