"""Test the table of host time on the null GPU from simulated pairs, and the project with hooks; nothing is timed."""

from pathlib import Path

import pytest

from benchmarks import host_time
from benchmarks.host_time import CALL, INJECTED, main, table
from benchmarks.on_gpu.gate_sessions import Ending
from tests.unit.benchmarks.pair_examples import spread_pairs, write_pairs


def test_table() -> None:
    """The same code passes in every drawn session, and 3 % are found."""
    *_heading, same, injected = table(spread_pairs(0.0, 50) + spread_pairs(INJECTED, 45))

    assert same.startswith("| same code | 50 | ")
    assert same.endswith(" | 0.00% | 100.00% | 10 s |")
    assert injected.startswith("| 3% injected | 45 | +3.00% | ")
    assert " | 100.00% | 0.00% | 18 s |" in injected


def test_too_few_pairs() -> None:
    """No sessions are drawn from them."""
    *_heading, same, injected = table(spread_pairs(0.0, 3))

    assert same.endswith(" | - | - | - s |")
    assert injected == "| 3% injected | 0 | - | - | - | - | - s |"


def test_judged_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing is measured with `--judge-only`."""
    raw = tmp_path / "raw.jsonl"
    write_pairs(raw, spread_pairs(0.0, 40))

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
