"""Verdicts travel from an xdist worker to its controller as plain values, and are the same afterwards."""

import json
import math

import pytest

from pytest_diffopt.guards.images import ImageThresholds, judge_images
from pytest_diffopt.guards.syncs import judge_syncs
from pytest_diffopt.guards.verdict import Outcome
from pytest_diffopt.records import (
    Device,
    ImageDifference,
    ImageRecord,
    ObservedSync,
    Subject,
    SyncRecord,
    Weights,
)
from pytest_diffopt.records.code_location import CodeLocation
from pytest_diffopt.session.ledger import Ledger, LedgerEntry
from pytest_diffopt.session.ledger_entries import entry_of, from_plain, to_plain

SUBJECT = Subject(pipeline="sdxl", scale="tiny", recipe="bf16 + sdpa", weights=Weights.RANDOM, device=Device.SIMULATED)
WHERE = CodeLocation(file="own.py", line=7, function="gate", source="if x.max() > 1:")
SYNCS = SyncRecord(
    subject=SUBJECT,
    num_steps=4,
    syncs=(ObservedSync(kind="read by the host", operation=".item()", where=WHERE, step=1),),
    seen_by="the simulated GPU",
)
IMAGES = ImageRecord(
    subject=SUBJECT, differences=(ImageDifference(ssim=1.0, psnr_db=math.inf, max_error=0.0, mean_error=0.0, flip=0.0),)
)


@pytest.fixture
def entries() -> list[LedgerEntry]:
    """Judge a red and a green record."""
    return [
        entry_of("test_syncs", judge_syncs(SYNCS), SYNCS),
        entry_of("test_image", judge_images(IMAGES, ImageThresholds()), IMAGES),
    ]


def test_a_record_is_written_down_as_plain_values(entries: list[LedgerEntry]) -> None:
    """Dictionaries, lists, texts and numbers, nested as the record is."""
    sync = {
        "kind": "read by the host",
        "operation": ".item()",
        "where": {"file": "own.py", "line": 7, "function": "gate", "source": "if x.max() > 1:"},
        "step": 1,
    }

    assert [dict(one) for one in entries[0].record["syncs"]] == [sync]
    assert entries[0].record["subject"]["device"] == "simulated"
    assert (entries[0].nodeid, entries[0].verdict.outcome) == ("test_syncs", Outcome.REGRESSED)


def test_entries_survive_the_way_as_plain_values(entries: list[LedgerEntry]) -> None:
    """Verdicts are whole again, enums and all."""
    back = from_plain(to_plain(entries))

    assert [one.verdict for one in back] == [one.verdict for one in entries]
    assert [one.nodeid for one in back] == [one.nodeid for one in entries]
    assert to_plain(back) == to_plain(entries)


def test_what_travels_is_json(entries: list[LedgerEntry]) -> None:
    """Also an infinite figure, which Python's JSON can write; whoever reads it elsewhere is the report's concern."""
    travelled = json.loads(json.dumps(to_plain(entries)))

    assert [one.verdict for one in from_plain(travelled)] == [one.verdict for one in entries]


def test_nothing_travels_as_nothing() -> None:
    """A test without verdicts has an empty list."""
    assert from_plain(to_plain([])) == []


def test_outcomes_are_counted(entries: list[LedgerEntry]) -> None:
    """The terminal's last line is made of these."""
    ledger = Ledger(entries=[*entries, entries[1]])

    assert ledger.counts() == {Outcome.REGRESSED: 1, Outcome.PASSED: 2}
    assert Ledger().counts() == {}
