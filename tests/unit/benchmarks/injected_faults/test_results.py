"""Test the report on trials: one line for each fault, and complete totals."""

from contextlib import nullcontext
from dataclasses import replace

from benchmarks.injected_faults import results
from benchmarks.injected_faults.catalogue import FAULTS, find_fault
from benchmarks.injected_faults.declaring import InjectedFault
from benchmarks.injected_faults.guarding import CheckOutcome, CheckResult, Guard
from benchmarks.injected_faults.slices import SliceCheck
from benchmarks.injected_faults.trials import ImageEffect, Trial

ALL_FAIL = SliceCheck(cosine=True, within_1e3=True, within_1e2=True)
NONE_FAILS = SliceCheck(cosine=False, within_1e3=False, within_1e2=False)


def trial(name: str, *failed: Guard, is_changed: bool = True, usual: SliceCheck = NONE_FAILS) -> Trial:
    """Return a trial of a fault that some guards catch."""
    checks = tuple(
        CheckResult(
            guard=guard,
            outcome=CheckOutcome.FAILED if guard in failed else CheckOutcome.PASSED,
            headline="wrong" if guard in failed else "",
        )
        for guard in (Guard.IMAGE, Guard.STORED_IMAGE, Guard.COUNTS)
    )
    fault = InjectedFault(name=name, imitates=f"{name} goes wrong", inject=lambda _pipeline: nullcontext())
    return Trial(fault=fault, checks=checks, image=ImageEffect(is_changed=is_changed, usual_check=usual))


COMPARED = trial("compared", Guard.IMAGE, Guard.STORED_IMAGE, usual=ALL_FAIL)
STORED = trial("stored", Guard.STORED_IMAGE)
COUNTED = trial("counted", Guard.COUNTS, is_changed=False)
MISSED = trial("missed")


def test_table_lists_the_catching_guards() -> None:
    """A missed fault is marked in capitals."""
    assert results.console_table([COMPARED, MISSED]) == [
        "fault     caught by            diffusers' usual check",
        "compared  image, stored image  cosine, 1e-3, 1e-2",
        "missed    NOT CAUGHT           -",
    ]


def test_totals_list_missed_faults() -> None:
    """The totals separate counts from images, and the three image guards."""
    assert results.totals([COMPARED, STORED, COUNTED, MISSED]) == [
        "- **3 of 4 (75 %) caught** by at least one guard; not caught: `missed`",
        "- 2 of 4 (50 %) without the counts guard, which also counts operations of the injection",
        "- 3 change the image; image guards catch 2 of 3 (67 %) of these",
        "- caught of these: 1 by the image, 2 by the stored image, 0 by the own image",
        "- diffusers' usual check: 1 of 4 (25 %) by cosine, 1 of 4 (25 %) by 1e-3, 1 of 4 (25 %) by 1e-2",
    ]


def test_page_lists_untried_faults() -> None:
    """A run of a few faults does not remove the others from the docs."""
    lines = results.markdown([replace(STORED, fault=find_fault("heads-reversed"))])
    rows = {line.split("`")[1]: line for line in lines if line.startswith("| `")}

    assert rows.keys() == {fault.name for fault in FAULTS}
    assert rows["heads-reversed"].endswith("| `sdxl` | stored image | - |")
    assert rows["seed-ignored"].endswith("| `sdxl` | not tried in this run | - |")


def test_95_percent_caught_passes() -> None:
    """19 of 20 pass, 18 of 20 fail."""
    assert results.passes([STORED] * 19 + [MISSED])
    assert not results.passes([STORED] * 18 + [MISSED] * 2)


def test_json_has_every_check() -> None:
    """JSON has outcome, headline and figures of every guard."""
    plain = results.as_plain(STORED)

    assert plain["caught_by"] == ["stored image"]
    assert plain["checks"]["image"] == {"outcome": "passed", "headline": "", "figures": {}}
    assert plain["checks"]["stored image"] == {"outcome": "failed", "headline": "wrong", "figures": {}}
    assert plain["usual_check"] == {"cosine": False, "within_1e3": False, "within_1e2": False}
