"""Test the records of tried faults: round trip, outdated records, invalid lines."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.injected_faults.catalogue import find_fault
from benchmarks.injected_faults.guarding import CheckOutcome, CheckResult, Guard
from benchmarks.injected_faults.recording import Recorded, RecordingError, append, measured_lines, read, revision_now
from tests.unit.benchmarks.injected_faults.test_results import COMPARED

TRIAL = replace(
    COMPARED,
    fault=find_fault("heads-reversed"),
    checks=(CheckResult(guard=Guard.IMAGE, outcome=CheckOutcome.FAILED, headline="off", figures={"ssim": 0.5}),),
)
RECORDED = Recorded(trial=TRIAL, revision="0123456789", seconds=2.5)


def test_latest_record_is_read(tmp_path: Path) -> None:
    """The latest line of a fault counts, and a missing file has no records."""
    file = tmp_path / "results.jsonl"
    append(file, replace(RECORDED, seconds=1.0))
    append(file, RECORDED)

    assert read(file) == {"heads-reversed": RECORDED}
    assert read(tmp_path / "none.jsonl") == {}


@pytest.mark.parametrize("change", [{"fault": "gone"}, {"pipeline": "sd15"}, {"recipe": "fp32"}])
def test_outdated_record_is_ignored(tmp_path: Path, change: dict[str, str]) -> None:
    """A fault whose name, pipeline or recipe has changed is tried again."""
    file = tmp_path / "results.jsonl"
    append(file, RECORDED)
    file.write_text(json.dumps(json.loads(file.read_text()) | change) + "\n", encoding="utf-8")

    assert read(file) == {}


@pytest.mark.parametrize("line", ["", "no JSON", "[]", "{}", '{"fault": "heads-reversed"}'])
def test_invalid_line_is_refused(tmp_path: Path, line: str) -> None:
    """The message has the file and the line."""
    file = tmp_path / "results.jsonl"
    append(file, RECORDED)
    file.write_text(file.read_text() + line + "\n", encoding="utf-8")

    with pytest.raises(RecordingError, match=rf"^{re.escape(str(file))}, line 2: must be written by --results, got: "):
        read(file)


def test_each_revision_is_listed() -> None:
    """The page has the number of faults for each revision."""
    later = replace(RECORDED, revision="abcdefabcd+", seconds=57.5)

    assert measured_lines([RECORDED, later, RECORDED]) == [
        "- measured: 2 at `0123456789`, 1 at `abcdefabcd+`; 1 minutes in total"
    ]


def test_revision_is_a_commit() -> None:
    """The revision has ten digits, and a plus if tracked files have changed."""
    assert re.fullmatch(r"[0-9a-f]{10}\+?", revision_now())
