"""What the trials came to, in words: one line a bug, and totals that leave nothing out."""

from contextlib import nullcontext
from dataclasses import replace

from benchmarks.injected_faults import results
from benchmarks.injected_faults.catalogue import BUGS, find_bug
from benchmarks.injected_faults.declaring import InjectedFault
from benchmarks.injected_faults.guarding import Answer, Color, Guard
from benchmarks.injected_faults.slices import SliceCheck
from benchmarks.injected_faults.trials import ImageSeen, Trial

SEEN_BY_ALL = SliceCheck(cosine=True, within_1e3=True, within_1e2=True)
SEEN_BY_NONE = SliceCheck(cosine=False, within_1e3=False, within_1e2=False)


def trial(name: str, *red: Guard, is_changed: bool = True, usual: SliceCheck = SEEN_BY_NONE) -> Trial:
    """Make the outcome of a bug that some guards saw."""
    answers = tuple(
        Answer(guard=guard, color=Color.RED if guard in red else Color.GREEN, said="wrong" if guard in red else "")
        for guard in (Guard.IMAGE, Guard.STORED_IMAGE, Guard.COUNTS)
    )
    bug = InjectedFault(name=name, imitates=f"{name} goes wrong", inject=lambda _pipeline: nullcontext())
    return Trial(bug=bug, answers=answers, image=ImageSeen(is_changed=is_changed, usual_check=usual))


BESIDE = trial("beside", Guard.IMAGE, Guard.STORED_IMAGE, usual=SEEN_BY_ALL)
STORED = trial("stored", Guard.STORED_IMAGE)
COUNTED = trial("counted", Guard.COUNTS, is_changed=False)
MISSED = trial("missed")


def test_the_table_says_who_caught_what() -> None:
    """A bug that nobody caught is told as loudly."""
    assert results.console_table([BESIDE, MISSED]) == [
        "bug     caught by                diffusers' usual check",
        "beside  image, stored image  cosine, 1e-3, 1e-2",
        "missed  NOT CAUGHT               -",
    ]


def test_the_totals_name_what_was_missed() -> None:
    """And tell images from counts, and stored images from those beside."""
    assert results.totals([BESIDE, STORED, COUNTED, MISSED]) == [
        "- **3 of 4 (75 %) caught** by at least one guard; not caught: `missed`",
        "- 2 of 4 (50 %) without the guard of counts, which also sees what injecting itself adds",
        "- 3 change the image: 2 of 3 (67 %) of these are red by an image",
        "- of these 1 by the image, 2 by the stored image, 0 by the own image",
        "- diffusers' usual check: 1 of 4 (25 %) by cosine, 1 of 4 (25 %) by 1e-3, 1 of 4 (25 %) by 1e-2",
    ]


def test_the_page_names_what_was_not_tried() -> None:
    """So that a run of a few bugs does not take the others out of the docs."""
    lines = results.markdown([replace(STORED, bug=find_bug("heads-reversed"))])
    rows = {line.split("`")[1]: line for line in lines if line.startswith("| `")}

    assert rows.keys() == {bug.name for bug in BUGS}
    assert rows["heads-reversed"].endswith("| `sdxl` | stored image | - |")
    assert rows["seed-ignored"].endswith("| `sdxl` | not tried in this run | - |")


def test_the_promise_is_kept_from_95_percent_on() -> None:
    """19 of 20 keep it, 18 of 20 do not."""
    assert results.is_kept([STORED] * 19 + [MISSED])
    assert not results.is_kept([STORED] * 18 + [MISSED] * 2)


def test_machines_get_everything() -> None:
    """Also what a green guard was and what a red one said."""
    plain = results.as_plain(STORED)

    assert plain["caught_by"] == ["stored image"]
    assert plain["answers"]["image"] == {"color": "green", "said": "", "figures": {}}
    assert plain["answers"]["stored image"] == {"color": "red", "said": "wrong", "figures": {}}
    assert plain["usual_check"] == {"cosine": False, "within_1e3": False, "within_1e2": False}
