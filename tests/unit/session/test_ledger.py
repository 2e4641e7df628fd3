"""Verdicts are sent from an xdist worker to the controller as plain values, without loss."""

import json
import math

import pytest

from pytest_diffopt.guards.image_thresholds import ImageThresholds
from pytest_diffopt.guards.images import judge_images
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
    """Judge a failing and a passing record."""
    return [
        entry_of("test_syncs", judge_syncs(SYNCS), SYNCS),
        entry_of("test_image", judge_images(IMAGES, ImageThresholds()), IMAGES),
    ]


def test_a_record_becomes_plain_values(entries: list[LedgerEntry]) -> None:
    """Dictionaries, lists, strings and numbers, with the structure of the record."""
    sync = {
        "kind": "read by the host",
        "operation": ".item()",
        "where": {"file": "own.py", "line": 7, "function": "gate", "source": "if x.max() > 1:"},
        "step": 1,
    }

    assert [dict(one) for one in entries[0].record["syncs"]] == [sync]
    assert entries[0].record["subject"]["device"] == "simulated"
    assert (entries[0].nodeid, entries[0].verdict.outcome) == ("test_syncs", Outcome.REGRESSED)


def test_entries_are_restored_from_plain_values(entries: list[LedgerEntry]) -> None:
    """Restored verdicts are equal, including their enums."""
    back = from_plain(to_plain(entries))

    assert [one.verdict for one in back] == [one.verdict for one in entries]
    assert [one.nodeid for one in back] == [one.nodeid for one in entries]
    assert to_plain(back) == to_plain(entries)


def test_plain_values_are_json(entries: list[LedgerEntry]) -> None:
    """Python's JSON can represent an infinite figure; reports write it as a string."""
    received = json.loads(json.dumps(to_plain(entries)))

    assert [one.verdict for one in from_plain(received)] == [one.verdict for one in entries]


def test_no_entries_become_no_values() -> None:
    """A test without verdicts sends an empty list."""
    assert from_plain(to_plain([])) == []


def test_outcomes_are_counted(entries: list[LedgerEntry]) -> None:
    """The last line in the terminal shows these counts."""
    ledger = Ledger(entries=[*entries, entries[1]])

    assert ledger.counts() == {Outcome.REGRESSED: 1, Outcome.PASSED: 2}
    assert Ledger().counts() == {}
