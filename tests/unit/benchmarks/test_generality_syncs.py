"""Test the comparison of the syncs of diffusers' pipelines on two devices: what is equal, and what is printed."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from benchmarks.diffusers_tests.results import Done, Outcome
from benchmarks.generality import syncs
from benchmarks.generality.sync_rows import SyncRow, pairs, report

FLUX = SyncRow(
    group="flux", case="test_flux::Tests", outcome=Outcome.RAN, reported={"a.py:1": 2}, all_syncs={"a.py:1": 2}
)
MORE = msgspec.structs.replace(FLUX, reported={"a.py:1": 2, "b.py:7": 1}, all_syncs={"a.py:1": 2, "b.py:7": 1})
UNSEEN = msgspec.structs.replace(FLUX, all_syncs={"a.py:1": 2, "c.py:3": 1})
FAILED = SyncRow(group="flux", case="test_flux::Tests", outcome=Outcome.FAILED, reason="TypeError: no")


@pytest.mark.parametrize(
    ("simulated", "cuda", "lines"),
    [
        (
            FLUX,
            FLUX,
            ["of 1 pipelines that ran on both, 1 have equal syncs line by line; 1 also those that the sync debug mode "
             "cannot see"],
        ),
        (
            FLUX,
            MORE,
            ["flux/test_flux::Tests", "  b.py:7: simulated 0, CUDA 1",
             "of 1 pipelines that ran on both, 0 have equal syncs line by line; 0 also those that the sync debug mode "
             "cannot see"],
        ),
        (
            UNSEEN,
            FLUX,
            ["of 1 pipelines that ran on both, 1 have equal syncs line by line; 0 also those that the sync debug mode "
             "cannot see"],
        ),
        (
            FLUX,
            FAILED,
            ["flux/test_flux::Tests: not compared, CUDA: TypeError: no",
             "of 0 pipelines that ran on both, 0 have equal syncs line by line; 0 also those that the sync debug mode "
             "cannot see"],
        ),
    ],
    ids=["equal", "another line", "not reported", "failed"],
)  # fmt: skip
def test_report(simulated: SyncRow, cuda: SyncRow, lines: Sequence[str]) -> None:
    """A line that differs is named with both numbers; a pipeline that ran on one device only is, with its reason."""
    assert list(report([simulated], [cuda])) == lines


def test_a_pipeline_that_diffusers_cannot_build_is_no_pair() -> None:
    """It is not compared, and is no failure of a device."""
    not_built = SyncRow(group="old", case="test_old", outcome=Outcome.NOT_BUILT, reason="ImportError: gone")

    assert pairs([not_built], [not_built]) == []
    assert len(list(report([not_built], [not_built]))) == 1


@pytest.fixture
def workers(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """Workers that answer at once; return the device of each, and the devices that it sees."""
    started = []

    def run(command: Sequence[str], _kind: type, append: Callable[[bytes], Any]) -> None:
        side = command[command.index("--side") + 1]
        started.append((side, os.environ["CUDA_VISIBLE_DEVICES"]))
        append(msgspec.json.encode(FLUX if side == "simulated" else MORE) + b"\n")
        append(msgspec.json.encode(Done(done="flux")) + b"\n")

    monkeypatch.setattr(syncs, "run_worker", run)
    monkeypatch.setattr(syncs, "expected_groups", lambda *_: ["flux"])
    monkeypatch.setattr(syncs, "environment", lambda: {"CUDA_VISIBLE_DEVICES": "0"})
    return started


def test_the_same_command_continues(
    workers: list[tuple[str, str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each device has its own process and file; what is there is not run again, and a difference fails."""
    command = ["--diffusers-tests", str(tmp_path), "--folder", str(tmp_path / "rows")]

    assert syncs.main(command) == 1
    assert workers == [("simulated", ""), ("null", "0")]
    assert "  b.py:7: simulated 0, CUDA 1" in capsys.readouterr().out
    assert syncs.main(command) == 1
    assert len(workers) == 2
