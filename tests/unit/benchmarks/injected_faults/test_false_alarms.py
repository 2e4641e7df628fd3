"""Test the report on correct images: false alarms with their calls, and images that rounding decides."""

from benchmarks.injected_faults import false_alarms
from benchmarks.injected_faults.false_alarms import PROMPTS, CorrectImages
from benchmarks.injected_faults.slices import SliceCheck
from pytest_diffopt.guards.verdict import Outcome, Verdict
from pytest_diffopt.records import Concern, Subject

FIGURES = {"ssim": 0.99, "psnr_db": 40.0, "max_error": 0.1, "mean_error": 0.01, "flip": 0.02, "latent_error": 0.03}
SEEN = SliceCheck(cosine=False, within_1e3=True, within_1e2=False)


def verdict(outcome: Outcome, **figures: float) -> Verdict:
    """Return a verdict of the image guard."""
    return Verdict(
        concern=Concern.IMAGES,
        outcome=outcome,
        subject=Subject(pipeline="sdxl"),
        summary="",
        figures=FIGURES | figures,
    )


ROW = CorrectImages(
    pipeline="sdxl",
    recipe="bf16",
    verdicts=(
        verdict(Outcome.PASSED, ssim=0.95),
        verdict(Outcome.INCONCLUSIVE, max_error=0.8),
        verdict(Outcome.REGRESSED, latent_error=0.2),
    ),
    usual_checks=(SEEN, SEEN, SEEN),
)


def test_row_separates_alarms_from_images_on_an_edge() -> None:
    """A row has the worst value of each figure over all images."""
    head, rule, line = false_alarms.table([ROW])

    assert head == (
        "| pipeline | recipe | false alarms | on an edge | SSIM | PSNR, dB | max error | mean error | FLIP "
        "| latents | usual |"
    )
    assert rule.count("---") == head.count(" | ") + 1
    assert line == "| `sdxl` | `bf16` | 1 of 3 | 1 | 0.9500 | 40.0 | 0.8000 | 0.0100 | 0.0200 | 0.2000 | 0 / 3 / 0 |"


def test_totals_list_the_failed_calls() -> None:
    """Images on an edge are not false alarms, and are counted separately."""
    assert false_alarms.totals([ROW, ROW]) == [
        "- **2 false alarms** over 6 correct images",
        f"  - `sdxl`, seed 2000 of {PROMPTS[2]!r}: with 2 of its recipes",
        "- 2 on an edge: decided by rounding, and reported as inconclusive",
        "- diffusers' usual check fails, of the same images: 0 by cosine, 6 by 1e-3, 0 by 1e-2",
    ]


def test_json_has_counts_and_distributions() -> None:
    """JSON has false alarms, images on an edge, and the distribution of every figure."""
    plain = false_alarms.as_plain(ROW)

    assert (plain["false_alarms"], plain["on_edge"]) == (1, 1)
    assert plain["distribution"]["ssim"]["worst"] == 0.95
