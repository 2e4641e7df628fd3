"""Test the table of host time on the null GPU from simulated pairs, and the project with hooks; nothing is timed."""

from pathlib import Path

import msgspec
import numpy as np
import pytest

from benchmarks import host_time
from benchmarks.false_alarms.measuring import Pair
from benchmarks.host_time import CALL, INJECTED, main, table
from benchmarks.on_gpu.gate_sessions import Ending
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
            seconds_in_turn=0.0,
            blocks_in_turn=(),
        )
        for more in np.linspace(-0.007, 0.007, number)
    ]


def block(slower: float) -> PairedBlock:
    """Return a block in which head takes longer by a fraction."""
    head_ns = round(CALL_NS * (1 + slower))
    return PairedBlock(base_ns=(CALL_NS, CALL_NS), head_ns=(head_ns, head_ns))


def test_table() -> None:
    """The same code passes in every drawn session, and 3 % are found."""
    *_heading, same, injected = table(pairs(0.0, 50) + pairs(INJECTED, 45))

    assert same.startswith("| same code | 50 | ")
    assert same.endswith(" | 0.00% | 100.00% | 10 s |")
    assert injected.startswith("| 3% injected | 45 | +3.00% | ")
    assert " | 100.00% | 0.00% | 18 s |" in injected


def test_too_few_pairs() -> None:
    """No sessions are drawn from them."""
    *_heading, same, injected = table(pairs(0.0, 3))

    assert same.endswith(" | - | - | - s |")
    assert injected == "| 3% injected | 0 | - | - | - | - | - s |"


def test_judged_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing is measured with `--judge-only`."""
    raw = tmp_path / "raw.jsonl"
    raw.write_bytes(b"".join(msgspec.json.encode(pair) + b"\n" for pair in pairs(0.0, 40)))

    assert main(["--judge-only", "--raw", str(raw)]) == 0
    assert "| same code | 40 | " in capsys.readouterr().out


@pytest.mark.parametrize(("outcome", "code"), [("passed", 1), ("regressed", 1)])
def test_session_with_another_outcome_fails(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, outcome: str, code: int
) -> None:
    """The gate that never fails and the gate that always fails are both wrong."""
    ending = Ending(exit_code=0, outcome=outcome, explanation=("it ended",))
    monkeypatch.setattr(host_time, "run_session", lambda *_, **__: ending)

    assert main(["--judge-only", "--raw", str(tmp_path / "none"), "--gate", "--report", str(tmp_path)]) == code


def test_right_sessions(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Each version ends as expected."""

    def ended(folder: Path, *_: object, report: Path) -> Ending:
        assert report.name in {"0", "0.03"}
        share = (folder / "product.py").read_text().splitlines()[4]
        return Ending(exit_code=0, outcome="passed" if share == "SHARE = 0.0" else "regressed", explanation=("a",))

    monkeypatch.setattr(host_time, "run_session", ended)

    assert main(["--judge-only", "--raw", str(tmp_path / "none"), "--gate", "--report", str(tmp_path)]) == 0


def test_project_with_hooks() -> None:
    """Each block gets a hook if a share is given; the test is that of every timed call."""
    project = CALL.project(INJECTED)

    assert CALL.options == ("--diffopt-null-gpu",)
    assert "SHARE = 0.03" in project["product.py"]
    assert "product.prepare(optimized_pipeline, inputs)" in project["test_it.py"]
    compile(project["product.py"], "product.py", "exec")
