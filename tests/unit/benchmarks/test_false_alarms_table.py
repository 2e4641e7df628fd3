"""Test the table of the false-alarm benchmark from simulated pairs, and that it is written into a page."""

from pathlib import Path

import pytest

from benchmarks.false_alarms.__main__ import main
from tests.unit.benchmarks.pair_examples import spread_pairs, write_pairs


@pytest.mark.filterwarnings("ignore:Precision loss occurred")  # of the t-test, with equal times
def test_table_is_written_into_a_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With too few pairs of a slowdown the gate's cell is empty; the row above has their number."""
    raw, page = tmp_path / "raw.jsonl", tmp_path / "page.md"
    write_pairs(raw, [*spread_pairs(0.0, 41), *spread_pairs(0.02, 41), *spread_pairs(0.05, 3)])
    page.write_text("Before\n\n<!-- begin: false-alarms -->\n<!-- end: false-alarms -->\nafter\n")

    main(["--judge-only", "--raw", str(raw), "--sessions", "200", "--page", str(page)])

    written = page.read_text().splitlines()
    assert "41 pairs of processes that run the same code" in capsys.readouterr().out
    assert "| called slower | same code | 1 % | 2 % | 3 % | 5 % | 10 % |" in written
    assert "| measured pairs, and their mean | 41: +0.0 % | 0 | 41: +2.0 % | 0 | 3: +5.0 % | 0 |" in written
    assert "| paired gate | 0.0 % | - | 100.0 % | - | - | - |" in written
    assert written[0] == "Before"
    assert written[-1] == "after"
