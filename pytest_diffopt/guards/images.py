"""Judge whether the picture is still the picture."""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from pytest_diffopt.guards.explain import counted, explain
from pytest_diffopt.guards.verdict import Outcome, Verdict
from pytest_diffopt.records import Concern, ImageDifference, ImageRecord


@dataclass(frozen=True, kw_only=True, slots=True)
class ImageThresholds:
    """How far a picture may be from its reference; every one of them must hold. Pixel values are in [0, 1].

    Attributes:
        min_ssim: the least structural similarity.
        min_psnr_db: the least peak signal-to-noise ratio, in decibels.
        max_error: the largest absolute difference that any pixel may have.
        max_mean_error: the largest mean absolute difference.
    """

    min_ssim: float = 0.95
    min_psnr_db: float = 30.0
    max_error: float = 0.35
    max_mean_error: float = 0.02


def judge_images(record: ImageRecord, thresholds: ImageThresholds) -> Verdict:
    """A picture past any threshold, or with a defect of its own, is a regression."""
    failing = {
        number: lines
        for number, difference in enumerate(record.differences)
        if (lines := [*difference.defects, *_violations(difference, thresholds)])
    }
    worst_ssim = _worst(min, (difference.ssim for difference in record.differences))
    worst_psnr_db = _worst(min, (difference.psnr_db for difference in record.differences))
    return Verdict(
        concern=Concern.IMAGES,
        outcome=Outcome.REGRESSED if failing else Outcome.PASSED,
        subject=record.subject,
        summary=f"SSIM {worst_ssim:.4f}, PSNR {worst_psnr_db:.1f} dB",
        explanation=_explanation(record, failing) if failing else (),
        figures={
            "ssim": worst_ssim,
            "psnr_db": worst_psnr_db,
            "max_error": _worst(max, (difference.max_error for difference in record.differences)),
            "mean_error": _worst(max, (difference.mean_error for difference in record.differences)),
        },
    )


def _worst(choose: Callable[[Iterable[float]], float], figures: Iterable[float]) -> float:
    """Return the worst figure of a batch; NaN is worse than any, and `min` keeps it only where it stands first."""
    figures = tuple(figures)
    return math.nan if any(map(math.isnan, figures)) else choose(figures)


def _violations(difference: ImageDifference, thresholds: ImageThresholds) -> list[str]:
    # Written as "not (good)" so that a NaN, which compares false with everything, is a violation.
    rules = [
        (
            difference.ssim >= thresholds.min_ssim,
            f"SSIM {difference.ssim:.4f} (at least {thresholds.min_ssim:g} wanted)",
        ),
        (
            difference.psnr_db >= thresholds.min_psnr_db,
            f"PSNR {difference.psnr_db:.1f} dB (at least {thresholds.min_psnr_db:g} dB wanted)",
        ),
        (
            difference.max_error <= thresholds.max_error,
            f"largest error of a pixel {difference.max_error:.4f} (up to {thresholds.max_error:g} allowed)",
        ),
        (
            difference.mean_error <= thresholds.max_mean_error,
            f"mean error {difference.mean_error:.4f} (up to {thresholds.max_mean_error:g} allowed)",
        ),
    ]
    return [line for is_good, line in rules if not is_good]


def _explanation(record: ImageRecord, failing: dict[int, list[str]]) -> tuple[str, ...]:
    total = counted(len(record.differences), "picture")
    return explain(
        f"{len(failing)} of {total} {'differs' if len(failing) == 1 else 'differ'} from the reference",
        [f"picture {number}: {line}" for number, lines in failing.items() for line in lines],
        seen=f"in {record.subject}; pixel values are in [0, 1]",
        remedy="if this is wanted: pass thresholds=ImageThresholds(...) with the reason beside it",
    )
