"""A line of JSON for each bug that was tried: read back as it was, and refused where it is no such line."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.injected_faults.catalogue import find_bug
from benchmarks.injected_faults.guarding import Answer, Color, Guard
from benchmarks.injected_faults.recording import Recorded, RecordingError, append, measured_lines, read, revision_now
from tests.unit.benchmarks.injected_faults.test_results import BESIDE

TRIAL = replace(
    BESIDE,
    bug=find_bug("heads-reversed"),
    answers=(Answer(guard=Guard.IMAGE, color=Color.RED, said="off", figures={"ssim": 0.5}),),
)
RECORDED = Recorded(trial=TRIAL, revision="0123456789", seconds=2.5)


def test_what_was_written_is_read(tmp_path: Path) -> None:
    """The latest line of a bug counts, and a file that is not there holds none."""
    file = tmp_path / "results.jsonl"
    append(file, replace(RECORDED, seconds=1.0))
    append(file, RECORDED)

    assert read(file) == {"heads-reversed": RECORDED}
    assert read(tmp_path / "none.jsonl") == {}


@pytest.mark.parametrize("change", [{"bug": "gone"}, {"pipeline": "sd15"}, {"recipe": "fp32"}])
def test_what_is_injected_otherwise_now_is_left_out(tmp_path: Path, change: dict[str, str]) -> None:
    """So that it is tried again."""
    file = tmp_path / "results.jsonl"
    append(file, RECORDED)
    file.write_text(json.dumps(json.loads(file.read_text()) | change) + "\n", encoding="utf-8")

    assert read(file) == {}


@pytest.mark.parametrize("line", ["", "no JSON", "[]", "{}", '{"bug": "heads-reversed"}'])
def test_a_line_that_is_no_record_is_reported(tmp_path: Path, line: str) -> None:
    """With the file, the line and what to do."""
    file = tmp_path / "results.jsonl"
    append(file, RECORDED)
    file.write_text(file.read_text() + line + "\n", encoding="utf-8")

    with pytest.raises(
        RecordingError, match=rf"^{re.escape(str(file))}, line 2: it must be what --results wrote, got: "
    ):
        read(file)


def test_the_page_says_what_was_measured_at_which_revision() -> None:
    """A part that was measured later is told apart."""
    later = replace(RECORDED, revision="abcdefabcd+", seconds=57.5)

    assert measured_lines([RECORDED, later, RECORDED]) == [
        "- measured: 2 at `0123456789`, 1 at `abcdefabcd+`; 1 minutes in all"
    ]


def test_the_revision_is_gits() -> None:
    """Ten digits, and a plus where something was changed since."""
    assert re.fullmatch(r"[0-9a-f]{10}\+?", revision_now())
