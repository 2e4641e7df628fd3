"""Test the table of the false-alarm benchmark from simulated pairs, and that it is written into a page."""

from pathlib import Path

import msgspec
import numpy as np
import pytest

from benchmarks.false_alarms.__main__ import main
from benchmarks.false_alarms.measuring import Pair
from pytest_diffopt.records import PairedBlock, PairedTiming

CALL_NS = 50_000_000


def pairs(slowdown: float, number: int) -> list[Pair]:
    """Return pairs of processes that differ by 0.4 % beside the slowdown."""
    return [
        Pair(
            slowdown=slowdown,
            timing=PairedTiming.CONCURRENT,
            repeats=1,
            seconds=2.0,
            blocks=(block(slowdown + float(more)),) * 8,
            seconds_in_turn=1.0,
            blocks_in_turn=(block(slowdown + float(more)),) * 4,
        )
        for more in np.linspace(-0.007, 0.007, number)
    ]


def block(slower: float) -> PairedBlock:
    """Return a block in which head takes longer by a fraction."""
    head_ns = round(CALL_NS * (1 + slower))
    return PairedBlock(base_ns=(CALL_NS, CALL_NS), head_ns=(head_ns, head_ns))


@pytest.mark.filterwarnings("ignore:Precision loss occurred")  # of the t-test, with equal times
def test_table_is_written_into_a_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With too few pairs of a slowdown the gate's cell is empty; the row above has their number."""
    raw, page = tmp_path / "raw.jsonl", tmp_path / "page.md"
    measured = [*pairs(0.0, 41), *pairs(0.02, 41), *pairs(0.05, 3)]
    raw.write_bytes(b"".join(msgspec.json.encode(pair) + b"\n" for pair in measured))
    page.write_text("Before\n\n<!-- begin: false-alarms -->\n<!-- end: false-alarms -->\nafter\n")

    main(["--judge-only", "--raw", str(raw), "--sessions", "200", "--page", str(page)])

    written = page.read_text().splitlines()
    assert "41 pairs of processes that run the same code" in capsys.readouterr().out
    assert "| called slower | same code | 1 % | 2 % | 3 % | 5 % | 10 % |" in written
    assert "| measured pairs, and their mean | 41: +0.0 % | 0 | 41: +2.0 % | 0 | 3: +5.0 % | 0 |" in written
    assert "| paired gate | 0.0 % | - | 100.0 % | - | - | - |" in written
    assert written[0] == "Before"
    assert written[-1] == "after"
