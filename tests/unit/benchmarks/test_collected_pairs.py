"""Test which pairs of processes are measured, in which order, and that each is kept at once; nothing is timed."""

import os
from pathlib import Path
from typing import Any

import pytest

from benchmarks.false_alarms import collecting
from benchmarks.false_alarms.collecting import collect, read
from benchmarks.false_alarms.measuring import Pair
from benchmarks.false_alarms.projects import TINY_ON_CPU
from tests.unit.benchmarks.pair_examples import measured_pair


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[tuple[float, dict[str, Any]]]:
    """Replace the measuring, and return what it was asked for."""
    asked: list[tuple[float, dict[str, Any]]] = []

    def measure(slowdown: float, **how: Any) -> Pair:
        asked.append((slowdown, how))
        if len(asked) > 6:
            raise KeyboardInterrupt
        return measured_pair(slowdown)

    monkeypatch.setattr(collecting, "measure", measure)
    return asked


def collected(raw: Path, expected: dict[float, int]) -> list[Pair]:
    """Collect with short times."""
    return collect(raw, expected, TINY_ON_CPU, seconds=2.0, seconds_in_turn=1.0)


def test_slowdowns_are_mixed(measured: list[tuple[float, dict[str, Any]]], tmp_path: Path) -> None:
    """A noisy period affects all of them; the number of a pair is its place in the file."""
    pairs = collected(tmp_path / "raw.jsonl", {0.0: 4, 0.03: 2})

    assert [slowdown for slowdown, _how in measured] == [0.0, 0.03, 0.0, 0.0, 0.03, 0.0]
    assert [how["number"] for _slowdown, how in measured] == [0, 1, 2, 3, 4, 5]
    assert measured[0][1] == {"seconds": 2.0, "seconds_in_turn": 1.0, "number": 0, "call": TINY_ON_CPU}
    assert pairs == read(tmp_path / "raw.jsonl") == [measured_pair(slowdown) for slowdown, _how in measured]


def test_interrupted_measurement_continues(measured: list[tuple[float, dict[str, Any]]], tmp_path: Path) -> None:
    """What was measured before is in the file, and not measured again."""
    raw = tmp_path / "raw.jsonl"
    with pytest.raises(KeyboardInterrupt):
        collected(raw, {0.0: 8})
    assert len(read(raw)) == 6
    measured.clear()

    assert collected(raw, {0.0: 8}) == [measured_pair(0.0)] * 8
    assert [how["number"] for _slowdown, how in measured] == [6, 7]


@pytest.mark.usefixtures("measured")
def test_more_pairs_than_expected_are_kept(tmp_path: Path) -> None:
    """Fewer pairs than the file has remove none."""
    raw = tmp_path / "raw.jsonl"
    collected(raw, {0.0: 3})

    assert len(collected(raw, {0.0: 1, 0.03: 1})) == 4


@pytest.mark.parametrize(("set_before", "threads"), [(None, "1"), ("2", "2")])
def test_processes_have_one_thread(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, set_before: str | None, threads: str
) -> None:
    """Unless the user asks for more."""
    seen: list[str | None] = []

    def measure(slowdown: float, **_: Any) -> Pair:
        seen.append(os.environ.get("OMP_NUM_THREADS"))
        return measured_pair(slowdown)

    monkeypatch.setattr(collecting, "measure", measure)
    monkeypatch.setenv("OMP_NUM_THREADS", set_before or "")
    if set_before is None:
        monkeypatch.delenv("OMP_NUM_THREADS")
    collected(tmp_path / "raw.jsonl", {0.0: 1})

    assert seen == [threads]


def test_missing_file_has_no_pairs(tmp_path: Path) -> None:
    """Nothing was measured yet."""
    assert read(tmp_path / "raw.jsonl") == []
