"""What right images came to, in words: alarms with their calls, and those that rounding decides apart."""

from benchmarks.injected_faults import false_alarms
from benchmarks.injected_faults.false_alarms import PROMPTS, RightImages
from benchmarks.injected_faults.slices import SliceCheck
from pytest_diffopt.guards.verdict import Outcome, Verdict
from pytest_diffopt.records import Concern, Subject

FIGURES = {"ssim": 0.99, "psnr_db": 40.0, "max_error": 0.1, "mean_error": 0.01, "flip": 0.02, "latent_error": 0.03}
SEEN = SliceCheck(cosine=False, within_1e3=True, within_1e2=False)


def verdict(outcome: Outcome, **figures: float) -> Verdict:
    """Pretend that the image guard said this."""
    return Verdict(
        concern=Concern.IMAGES,
        outcome=outcome,
        subject=Subject(pipeline="sdxl"),
        summary="",
        figures=FIGURES | figures,
    )


ROW = RightImages(
    pipeline="sdxl",
    recipe="bf16",
    verdicts=(
        verdict(Outcome.PASSED, ssim=0.95),
        verdict(Outcome.INCONCLUSIVE, max_error=0.8),
        verdict(Outcome.REGRESSED, latent_error=0.2),
    ),
    usual_checks=(SEEN, SEEN, SEEN),
)


def test_a_line_tells_alarms_from_images_on_an_edge() -> None:
    """Of each figure the worst, of whatever was drawn."""
    head, rule, line = false_alarms.table([ROW])

    assert head == (
        "| pipeline | recipe | false alarms | on an edge | SSIM | PSNR, dB | largest error | mean error | FLIP "
        "| latents | usual |"
    )
    assert rule.count("---") == head.count(" | ") + 1
    assert line == "| `sdxl` | `bf16` | 1 of 3 | 1 | 0.9500 | 40.0 | 0.8000 | 0.0100 | 0.0200 | 0.2000 | 0 / 3 / 0 |"


def test_the_totals_name_the_calls_that_fail() -> None:
    """An edge is no alarm, and is told all the same."""
    assert false_alarms.totals([ROW, ROW]) == [
        "- **2 false alarms** over 6 right images",
        f"  - `sdxl`, seed 0 of {PROMPTS[2]!r}: with 2 of its recipes",
        "- 2 on an edge: rounding decides them, and the guard says so",
        "- diffusers' usual check, of the same images: 0 by cosine, 6 by 1e-3, 0 by 1e-2",
    ]


def test_machines_get_both_numbers() -> None:
    """And the distribution of every figure."""
    plain = false_alarms.as_plain(ROW)

    assert (plain["false_alarms"], plain["on_edge"]) == (1, 1)
    assert plain["distribution"]["ssim"]["worst"] == 0.95
