"""A change of a baseline is classified by its effect on the gate."""

from pathlib import Path

import pytest
from msgspec.structs import replace

from pytest_diffopt.baselines.codec import encode
from pytest_diffopt.baselines.documents import Baseline
from pytest_diffopt.baselines.limit_changes import BaselineChange, ChangeKind, LimitChange, compare
from tests.unit.baselines.baseline_examples import compiled, counts, latency, memory

PATH = "baselines/nvidia-h200/test_sdxl/case.json"


def raw(document: Baseline) -> bytes:
    """Return the bytes of a document's file."""
    return encode(document, file=Path(PATH))


def test_a_slower_accepted_latency_is_looser() -> None:
    """The change contains the limit before and after, and the reason from the file."""
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
def test_a_wider_tolerance_is_looser(looser: Baseline) -> None:
    """Also together with a faster figure."""
    assert compare(PATH, raw(latency(1000)), raw(looser)).kind is ChangeKind.LOOSENED


def test_a_faster_accepted_latency_is_tighter() -> None:
    """The gate is stricter than before."""
    assert compare(PATH, raw(latency(1000)), raw(latency(900))).kind is ChangeKind.TIGHTENED


def test_one_looser_limit_among_tighter_ones_is_looser() -> None:
    """It is listed first."""
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
def test_a_larger_count_is_looser(before: Baseline, after: Baseline, name: str) -> None:
    """Also an operation that is no longer counted, and a function that is no longer compiled."""
    change = compare(PATH, raw(before), raw(after))

    assert change.kind is ChangeKind.LOOSENED
    assert change.limits[0].name == name


def test_a_change_without_limits_is_neither_looser_nor_tighter() -> None:
    """For example another reason."""
    assert compare(PATH, raw(latency(1000)), raw(replace(latency(1000), reason="other"))).kind is ChangeKind.CHANGED


def test_a_change_of_the_concern_is_looser() -> None:
    """The previous concern is no longer guarded."""
    change = compare(PATH, raw(latency(1000)), raw(memory()))

    assert change.kind is ChangeKind.LOOSENED
    assert change.note == "the concern changed from latency to memory"


def test_added_and_removed_files_are_reported() -> None:
    """Images too; their content is not compared."""
    document = raw(latency(1000))

    assert compare(PATH, None, document).kind is ChangeKind.ADDED
    assert compare(PATH, document, None).kind is ChangeKind.REMOVED
    assert compare("baselines/a.png", None, b"1").kind is ChangeKind.ADDED
    assert compare("baselines/a.png", b"1", b"2").kind is ChangeKind.CHANGED


@pytest.mark.parametrize(
    ("content", "note"),
    [
        (b"[]", f"the baseline {PATH} cannot be trusted: concern: missing"),
        (b"{", f"the baseline {PATH} cannot be trusted: concern: missing"),
        (b'{"concern": "speed"}', f"the baseline {PATH} cannot be trusted: concern: unknown, got: 'speed'"),
        (b'{"concern": "latency"}', f"the baseline {PATH} cannot be trusted: schema_version: missing"),
    ],
)
def test_a_file_that_cannot_be_read_is_named(content: bytes, note: str) -> None:
    """It guards nothing. A file whose previous version cannot be read is only changed."""
    change = compare(PATH, raw(latency(1000)), content)

    assert (change.kind, change.note) == (ChangeKind.UNREADABLE, note)
    assert compare(PATH, content, raw(latency(1000))).kind is ChangeKind.CHANGED
