"""A change to a baseline is named for what it does to the gate."""

from pathlib import Path

import pytest
from msgspec.structs import replace

from pytest_diffopt.baselines.codec import encode
from pytest_diffopt.baselines.documents import Baseline
from pytest_diffopt.baselines.limit_changes import BaselineChange, ChangeKind, LimitChange, compare
from tests.unit.baselines.baseline_examples import compiled, counts, latency, memory

PATH = "baselines/nvidia-h200/test_sdxl/case.json"


def raw(document: Baseline) -> bytes:
    """Write a document as its file."""
    return encode(document, file=Path(PATH))


def test_a_slower_accepted_latency_is_looser() -> None:
    """With the limit before and after, and the reason that the file gives."""
    change = compare(PATH, raw(latency(1000)), raw(replace(latency(1200), reason="a better image")))

    assert change == BaselineChange(
        path=PATH,
        kind=ChangeKind.LOOSENED,
        limits=(LimitChange(name="latency_ns", before=1100.0, after=1300.0),),
        reason="a better image",
    )


@pytest.mark.parametrize(
    "looser",
    [
        replace(latency(1000), margin=0.5),
        replace(latency(1000), floor_ns=101),
        replace(latency(900), margin=0.9),
    ],
)
def test_a_wider_tolerance_is_looser_whatever_the_figure_did(looser: Baseline) -> None:
    """Nobody raises a threshold unseen, not even beside a gain."""
    assert compare(PATH, raw(latency(1000)), raw(looser)).kind is ChangeKind.LOOSENED


def test_a_faster_accepted_latency_is_tighter() -> None:
    """It guards more."""
    assert compare(PATH, raw(latency(1000)), raw(latency(900))).kind is ChangeKind.TIGHTENED


def test_one_looser_limit_among_tighter_ones_is_looser() -> None:
    """And it stands first."""
    before, after = memory(), replace(memory(), peak_allocated_bytes=1 << 19, peak_reserved_bytes=1 << 22)
    change = compare(PATH, raw(replace(before, peak_reserved_bytes=1 << 21)), raw(after))

    assert change.kind is ChangeKind.LOOSENED
    assert [limit.name for limit in change.limits] == ["peak_reserved_bytes", "peak_allocated_bytes"]


@pytest.mark.parametrize(
    ("before", "after", "name"),
    [
        (counts(operations=7), counts(operations=8), "step 1: operations"),
        (counts(), counts(unmodelled=("torchao::x",)), "operations that are not counted"),
        (compiled(), compiled(breaks=1), "UNet.forward: breaks"),
        (compiled(), compiled(region="VAE.decode"), "UNet.forward: graphs"),
    ],
)
def test_more_of_what_is_counted_is_looser(before: Baseline, after: Baseline, name: str) -> None:
    """Also what is counted no more, and a function that is compiled no more."""
    change = compare(PATH, raw(before), raw(after))

    assert change.kind is ChangeKind.LOOSENED
    assert change.limits[0].name == name


def test_what_limits_nothing_is_only_a_change() -> None:
    """Another version, another reason."""
    assert compare(PATH, raw(latency(1000)), raw(replace(latency(1000), reason="other"))).kind is ChangeKind.CHANGED


def test_a_file_that_guards_something_else_is_looser() -> None:
    """What it guarded is guarded no more."""
    change = compare(PATH, raw(latency(1000)), raw(memory()))

    assert change.kind is ChangeKind.LOOSENED
    assert change.note == "it guarded latency, and guards memory now"


def test_files_come_and_go() -> None:
    """Images too; what they hold is not compared here."""
    document = raw(latency(1000))

    assert compare(PATH, None, document).kind is ChangeKind.ADDED
    assert compare(PATH, document, None).kind is ChangeKind.REMOVED
    assert compare("baselines/a.png", None, b"1").kind is ChangeKind.ADDED
    assert compare("baselines/a.png", b"1", b"2").kind is ChangeKind.CHANGED


@pytest.mark.parametrize(
    ("content", "note"),
    [
        (b"[]", f"the baseline {PATH} cannot be trusted: concern: no baseline is about 'nothing that can be read'"),
        (b'{"concern": "speed"}', f"the baseline {PATH} cannot be trusted: concern: no baseline is about 'speed'"),
        (b'{"concern": "latency"}', f"the baseline {PATH} cannot be trusted: schema_version: missing"),
    ],
)
def test_a_file_that_cannot_be_read_is_named(content: bytes, note: str) -> None:
    """It guards nothing; one that could not be read before is only changed."""
    change = compare(PATH, raw(latency(1000)), content)

    assert (change.kind, change.note) == (ChangeKind.UNREADABLE, note)
    assert compare(PATH, content, raw(latency(1000))).kind is ChangeKind.CHANGED
