"""Test the GPU command `paired`: its sessions of the latency gates and its table; nothing is timed."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from benchmarks.on_gpu import __main__ as on_gpu
from benchmarks.on_gpu import paired
from benchmarks.on_gpu.command import Figures
from benchmarks.on_gpu.commands import COMMANDS
from benchmarks.on_gpu.gate_sessions import Ending, GateSessionError
from benchmarks.on_gpu.setting import Setting

GPU = {"device": "NVIDIA H200", "versions": {"torch": "2.11.0", "cuda": "13.0"}}
MEASURED = Setting(is_rehearsal=False, reports=Path("reports"))
REHEARSED = Setting(is_rehearsal=True, reports=Path("reports"))
PASSED = Ending(exit_code=0, outcome="passed", explanation=("221 ms, 9.0 steps/s",))
FAILED = Ending(
    exit_code=1,
    outcome="regressed",
    explanation=(
        "the call became 5.1 % slower than at HEAD~1 (820a6d477) (1.0 % allowed)",
        "  change  +5.1 %, between +4.8 % and +5.4 % at 99.8 % confidence, 5 blocks of 4 calls",
        "  no count changed: the same operations take a different time, or the time is spent elsewhere",
    ),
)


@dataclass
class Sessions:
    """A fake for git and pytest: sessions end with the given results."""

    endings: list[Ending]
    starts_over: bool = False
    committed: list[str] = field(default_factory=list)
    started: list[tuple[str, ...]] = field(default_factory=list)

    def commit(self, _folder: Path, files: Mapping[str, str]) -> None:
        """Record the slowdown of a commit."""
        self.committed.append(files["product.py"].splitlines()[4])

    def run(self, _project: Path, options: tuple[str, ...], *, report: Path) -> Ending:
        """Return the result of a session; an accepting one adds to the baseline."""
        self.started.append((report.name, *options))
        if "--diffopt-update=all" in options:
            file = report.parent / "baselines" / "nvidia-h200" / "test_it" / "a.json"
            held = json.loads(file.read_text(encoding="utf-8"))["sessions"] if file.exists() else []
            file.parent.mkdir(parents=True, exist_ok=True)
            kept = [] if self.starts_over else held
            file.write_text(json.dumps({"sessions": [*kept, {}]}), encoding="utf-8")
            return PASSED
        return self.endings.pop(0)


@pytest.fixture
def sessions(monkeypatch: pytest.MonkeyPatch) -> Sessions:
    """Replace git and pytest; by default the session passes."""
    one = Sessions(endings=[PASSED])
    monkeypatch.setattr(paired, "commit", one.commit)
    monkeypatch.setattr(paired, "run_session", one.run)
    monkeypatch.setattr(paired, "weights_of", lambda _setting: "random")
    return one


def measured(name: str, reports: Path, *, is_rehearsal: bool = False) -> Figures:
    """Measure one case of `paired`."""
    setting = Setting(is_rehearsal=is_rehearsal, reports=reports)
    (case,) = (case for case in COMMANDS["paired"].cases(setting) if case.name == name)
    return case.measure()


def test_slower_commit_is_compared_with_previous_one(sessions: Sessions, tmp_path: Path) -> None:
    """The gate runs with its default margin and budget, and must fail with the cause."""
    sessions.endings = [FAILED]
    figures = measured("injected 5 %", tmp_path)

    assert sessions.committed == ["SLOWDOWN = 0.0", "SLOWDOWN = 0.05"]
    assert sessions.started == [("injected-5", "--diffopt-against=HEAD~1", "--gpu")]
    assert dict(figures) == {
        "recipe": "bf16 + sdpa",
        "weights": "random",
        "injected": 0.05,
        "expected": "exit code 1, regressed, with its cause",
        "actual": "exit code 1, regressed, with its cause",
        "explanation": list(FAILED.explanation),
        "seconds": figures["seconds"],
        "report": "injected-5/report.json",
    }


def test_unexpected_result_is_wrong(sessions: Sessions, tmp_path: Path) -> None:
    """If the same code is reported slower, the case has the expected and the actual result."""
    sessions.endings = [FAILED]
    figures = measured("same code", tmp_path)

    assert sessions.committed == ["SLOWDOWN = 0.0"] * 2
    assert figures["wrong"] == "expected exit code 0, passed, got exit code 1, regressed, with its cause"


def test_stored_gate_runs_after_three_sessions(sessions: Sessions, tmp_path: Path) -> None:
    """Three sessions are accepted, then one is judged; the next case uses the same baseline."""
    same = measured("stored, same code", tmp_path)
    sessions.endings = [FAILED]
    injected = measured("stored, injected 10 %", tmp_path)

    at = f"--diffopt-baselines={tmp_path / 'baselines'}"
    accepting = ("--diffopt-update=all", "--diffopt-allow-ci-update", at, "--gpu")
    assert sessions.started == [
        *((f"session-{number}", *accepting) for number in (1, 2, 3)),
        ("stored-same-code", at, "--gpu"),
        ("stored-injected-10", at, "--gpu"),
    ]
    assert sessions.committed == ["SLOWDOWN = 0.0"] * 3 + ["SLOWDOWN = 0.1"]
    assert not {"wrong"} & (same.keys() | injected.keys())


def test_baseline_with_too_few_sessions_is_an_error(sessions: Sessions, tmp_path: Path) -> None:
    """Sessions that differ by more than the margin cannot be used as a baseline."""
    sessions.starts_over = True

    with pytest.raises(GateSessionError) as error:
        measured("stored, same code", tmp_path)

    assert str(error.value) == (
        f"{tmp_path / 'baselines'} has 1 sessions, 3 are required: a session differed by more than the margin, "
        "or the sessions are from another GPU; remove the folder to start from scratch"
    )


def test_session_without_accepted_baseline_is_an_error(
    sessions: Sessions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A GPU that another process uses gives no baseline; the error has the gate's reason."""
    unfit = Ending(exit_code=0, outcome="inconclusive", explanation=("another process computes on the GPU", "  more"))
    monkeypatch.setattr(paired, "run_session", lambda *_, **__: unfit)

    with pytest.raises(GateSessionError) as error:
        measured("stored, same code", tmp_path)

    assert sessions.committed == ["SLOWDOWN = 0.0"]
    assert str(error.value) == ("nothing was accepted: exit code 0, inconclusive: another process computes on the GPU")


def test_rehearsal_injects_and_allows_more(sessions: Sessions, tmp_path: Path) -> None:
    """A rehearsal on a shared CPU has larger slowdowns and margins, and the case names have the slowdowns."""
    sessions.endings = [FAILED]
    measured("injected 50 %", tmp_path, is_rehearsal=True)

    assert sessions.started == [
        ("injected-50", "--diffopt-against=HEAD~1", "--diffopt-margin=0.1", "--diffopt-max-seconds=30")
    ]
    assert [case.name for case in COMMANDS["paired"].cases(REHEARSED)][2:] == [
        "stored, same code",
        "stored, injected 300 %",
    ]


def figures_of(expected: str, actual: Ending, duration_seconds: float) -> Figures:
    """Return the figures of a case of `paired`."""
    figures = {
        "weights": "random",
        "expected": expected,
        "actual": str(actual),
        "explanation": list(actual.explanation),
        "seconds": duration_seconds,
    }
    return figures if str(actual) == expected else figures | {"wrong": f"expected {expected}, got {actual}"}


def test_paired_table() -> None:
    """The table has expected and actual results, WRONG if they differ, and the gates' messages."""
    seen = {
        "same code": figures_of(str(PASSED), FAILED, 71.234),
        "injected 5 %": figures_of(str(FAILED), FAILED, 80.0),
        "stored, same code": {"failed": "GateSessionError: nothing was accepted"},
    }
    right, wrong = "exit code 0, passed", "exit code 1, regressed, with its cause"
    width = len(wrong)

    assert on_gpu.report(COMMANDS["paired"], MEASURED, GPU, seen) == [
        "paired: NVIDIA H200, torch 2.11.0, scale full",
        "weights: random",
        f"case                   {'expected':>{width}}  {'actual':>{width}}         duration",
        f"same code              {right:>{width}}  {wrong}  WRONG   71.23 s",
        f"injected 5 %           {wrong}  {wrong}          80.00 s",
        f"stored, same code      {right:>{width}}  {'failed':>{width}}",
        f"stored, injected 10 %  {wrong}  {'-':>{width}}",
        f"same code: {FAILED.explanation[0]}",
        *FAILED.explanation[1:],
        f"injected 5 %: {FAILED.explanation[0]}",
        *FAILED.explanation[1:],
        "same code: wrong: expected exit code 0, passed, got exit code 1, regressed, with its cause",
        "stored, same code: failed: GateSessionError: nothing was accepted",
    ]


def test_wrong_case_exits_with_1(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Later runs with the same file also exit with 1: a wrong case is not repeated."""
    names = [case.name for case in COMMANDS["paired"].cases(MEASURED)]
    answers: dict[str, Any] = {name: figures_of(str(PASSED), PASSED, 1.0) for name in names}
    answers |= {"environment": GPU, names[0]: figures_of(str(PASSED), FAILED, 1.0)}
    started: list[str] = []

    def run(_command: str, _options: object, _log: Path, case: str, _seconds: float | None = None) -> Any:
        started.append(case)
        return answers[case]

    monkeypatch.setattr(on_gpu, "run_child", run)
    line = ["paired", "--json", str(tmp_path / "paired.json")]

    assert on_gpu.main(line) == 1
    assert on_gpu.main([*line, "--retry-failed"]) == 1
    assert started == ["environment", *names, "environment"]
    assert "same code: wrong: " in capsys.readouterr().out
