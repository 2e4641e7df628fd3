"""Judge whether rounding decides an image: then a check of it proves nothing, whichever image was drawn."""

import math
from collections.abc import Sequence
from dataclasses import replace

from pytest_diffopt.guards.failure_text import explain
from pytest_diffopt.guards.images import ImageThresholds, judge_images, worst_figures
from pytest_diffopt.guards.verdict import Outcome, Verdict
from pytest_diffopt.records import ImageRecord

#: A pipeline rounds inside of its modules too, the reference between them: over ten pipelines and all recipes that
#: took latents up to about twice as far in the first step. So much more than the reference's is still rounding.
LARGEST_RATIO = 2.0
#: What to do about a call whose image rounding decides.
FAR_FROM_THE_EDGE = (
    "give the test a call that is far from the edge: another seed or prompt, more steps, less guidance; "
    "or pass thresholds=ImageThresholds(...) with the reason beside it"
)


def judge_at_edge(
    verdict: Verdict, record: ImageRecord, rounded: Sequence[ImageRecord], thresholds: ImageThresholds, dtype: str
) -> Verdict:
    """Take a regression back where the reference, once rounded, does not keep within half of the thresholds.

    A bug must not hide behind such a call. The regression stays where an image has a defect of its own, and where the
    latents are off already after the first step: past their threshold, or twice as far as the rounded reference's.

    Args:
        verdict: a regression.
        record: what it was judged by.
        rounded: the reference drawn again, rounded, each against the reference as it is.
        thresholds: how far images may be.
        dtype: what it was rounded to, in torch's words.
    """
    other = [one for one in rounded if judge_images(one, _half_of(thresholds)).is_failure]
    if not other or not record.drift or not all(one.drift for one in rounded):
        return verdict
    first, first_rounded = _first_error(record), max(map(_first_error, rounded))
    handlers = f"in {len(other)} of {len(rounded)} ways"
    seen = f"the reference itself is past half of that where it is rounded to {dtype} ({handlers}): {_worst(other)}"
    early = f"after the first step latents {first:.4f} of their length off, the rounded reference's {first_rounded:.4f}"
    allowed = min(thresholds.max_latent_error, LARGEST_RATIO * first_rounded)
    if _has_defect(record) or not first <= allowed:
        return replace(verdict, explanation=(*verdict.explanation, f"{seen}; but not all of it has grown: {early}"))
    facts = [line.strip() for line in verdict.explanation if line.startswith("  ")]
    return replace(
        verdict,
        outcome=Outcome.INCONCLUSIVE,
        explanation=explain(
            "rounding decides this image, so that nothing is proven by it",
            [*facts, seen, early],
            seen=f"in {record.subject}; pixel values are in [0, 1]",
            hint=FAR_FROM_THE_EDGE,
        ),
    )


def _half_of(thresholds: ImageThresholds) -> ImageThresholds:
    """Return thresholds that leave as much less room as the reference is rounded less; half an error is 6 dB."""
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
    return f"{image}latents {worst['latent_error']:.4f} off"


def _first_error(record: ImageRecord) -> float:
    return record.drift[0].relative_error


def _has_defect(record: ImageRecord) -> bool:
    return any(one.defects for one in record.differences) or any(one.defects for one in record.latents)
