"""Test the two commands that run the latency gates on a GPU: plans, sessions and tables; nothing is timed."""

import json
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import msgspec
import pytest

from benchmarks.false_alarms.measuring import Pair
from benchmarks.false_alarms.projects import TimedCall
from benchmarks.on_gpu import __main__ as on_gpu
from benchmarks.on_gpu import false_alarms, paired
from benchmarks.on_gpu.command import Figures
from benchmarks.on_gpu.commands import COMMANDS
from benchmarks.on_gpu.gate_sessions import Ending, GateSessionError, commit, ending, run_session
from benchmarks.on_gpu.setting import Setting
from pytest_diffopt.pipelines.scale import Scale
from pytest_diffopt.records import Device, PairedBlock, PairedTiming
from tests.unit.paired.repositories import git

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
        "  nothing that is counted changed: the same operations take another time, or the time goes elsewhere",
    ),
)
MS = 1_000_000


def pair(slowdown: float, *, measured_slowdown: float, blocks: int = 20, throttled: int = 0) -> Figures:
    """Return the figures of a pair of processes with a measured slowdown of head, with 0.1 % of noise."""
    head_ns = 200 * MS * (1 + measured_slowdown)
    one = PairedBlock(base_ns=(200 * MS, 200 * MS), head_ns=(round(0.999 * head_ns), round(1.001 * head_ns)))
    timed = Pair(
        slowdown=slowdown,
        timing=PairedTiming.IN_TURN,
        repeats=1,
        seconds=20.0,
        blocks=(one,) * blocks,
        seconds_in_turn=0.0,
        blocks_in_turn=(),
        throttled_blocks=throttled,
    )
    return {"recipe": "bf16 + sdpa", "weights": "random", "pair": json.loads(msgspec.json.encode(timed))}


def test_first_half_has_every_slowdown() -> None:
    """Pairs of the same code alternate with slowdowns; the first half of a run measures every slowdown."""
    names = [case.name for case in COMMANDS["false-alarms"].cases(MEASURED)]

    assert names[:8] == [
        "same code, pair 1",
        "2 % injected, pair 1",
        "same code, pair 2",
        "5 % injected, pair 1",
        "same code, pair 3",
        "1 % injected, pair 1",
        "same code, pair 4",
        "3 % injected, pair 1",
    ]
    assert len(names) == 16


def test_pairs_run_full_size_sdxl_on_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a GPU each pair is measured once, with its own number, and its raw times are kept."""
    calls: list[Mapping[str, Any]] = []

    def measure(slowdown: float, **how: Any) -> Pair:
        calls.append({"slowdown": slowdown, **how})
        return msgspec.convert(pair(slowdown, measured_slowdown=slowdown)["pair"], Pair)

    monkeypatch.setattr(false_alarms, "measure", measure)
    monkeypatch.setattr(false_alarms, "weights_of", lambda _setting: "random")
    figures = [case.measure() for case in COMMANDS["false-alarms"].cases(MEASURED)[:2]]

    call = TimedCall(device=Device.CUDA, scale=Scale.FULL, recipe="bf16 + sdpa", steps=2)
    assert calls == [
        {"slowdown": slowdown, "seconds": 20.0, "seconds_in_turn": 0.0, "number": number, "call": call}
        for number, slowdown in enumerate((0.0, 0.02))
    ]
    assert json.loads(json.dumps(figures)) == [pair(0.0, measured_slowdown=0.0), pair(0.02, measured_slowdown=0.02)]


def test_false_alarms_table() -> None:
    """The table has each pair, and the outcome shares of sessions drawn from pairs of one slowdown."""
    seen = {
        "same code, pair 1": pair(0.0, measured_slowdown=0.001),
        "5 % injected, pair 1": pair(0.05, measured_slowdown=0.048, throttled=3),
    }

    assert on_gpu.report(COMMANDS["false-alarms"], REHEARSED, GPU, seen)[2:] == [
        f"rehearsal | {line}"
        for line in (
            "weights: random",
            "pair of processes     head slower by  deviation   call  blocks  throttled",
            "same code, pair 1             +0.10%      0.10%  0.2 s      20          0",
            "5 % injected, pair 1          +4.80%      0.10%  0.2 s      20          3",
            "injected      pairs   slower  not slower  inconclusive  slower, same code multiplied",
            "same code         1    0.00%     100.00%         0.00%                         0.00%",
            "1 % injected      0        -           -             -                         0.00%",
            "2 % injected      0        -           -             -                       100.00%",
            "3 % injected      0        -           -             -                       100.00%",
            "5 % injected      1  100.00%       0.00%         0.00%                       100.00%",
            "500 sessions of up to 60 s, drawn from these pairs; margin 1 %",
        )
    ]


def test_throttled_pair_has_no_ratio() -> None:
    """A pair without blocks is marked as throttled, and no session is drawn from it."""
    seen = {
        "same code, pair 1": pair(0.0, measured_slowdown=0.0, blocks=0, throttled=7),
        "5 % injected, pair 1": {"failed": "no"},
    }

    lines = COMMANDS["false-alarms"].table(REHEARSED, seen)

    assert lines[1].split() == ["same", "code,", "pair", "1", "throttled", "0", "7"]
    assert lines[2].split() == ["5", "%", "injected,", "pair", "1", "failed"]
    assert lines[4].split() == ["same", "code", "0", "-", "-", "-", "-"]


def report(outcome: str, *explanation: str, summary: str = "221 ms") -> dict[str, Any]:
    """Return a report of one verdict."""
    verdict = {"outcome": outcome, "explanation": list(explanation), "summary": summary}
    return {"verdicts": [{"nodeid": "test_it.py::test_latency", "verdict": verdict}], "broken": []}


@pytest.mark.parametrize(
    ("exit_code", "document", "result", "explanation"),
    [
        (0, report("passed"), "exit code 0, passed", ("221 ms",)),
        (
            1,
            report("regressed", "diffopt: it became slower", "  nothing that is counted changed: the same operations"),
            "exit code 1, regressed, with its cause",
            ("it became slower", "  nothing that is counted changed: the same operations"),
        ),
        (
            1,
            report("regressed", "diffopt: it became slower", "  what changed, counted on the simulated GPU:"),
            "exit code 1, regressed, with its cause",
            ("it became slower", "  what changed, counted on the simulated GPU:"),
        ),
        (
            1,
            report("regressed", "diffopt: it became slower", "  not counted: no"),
            "exit code 1, regressed",
            ("it became slower", "  not counted: no"),
        ),
        (
            1,
            {"verdicts": [], "broken": [{"nodeid": "test_it.py", "reason": "ImportError: no"}]},
            "exit code 1, broken",
            ("test_it.py: ImportError: no",),
        ),
        (5, {"verdicts": [], "broken": []}, "exit code 5, no verdict", ()),
    ],
    ids=["passed", "same-counts", "other-counts", "not-counted", "broken", "no-verdict"],
)
def test_session_result_is_read_from_report(
    exit_code: int, document: Mapping[str, Any], result: str, explanation: Sequence[str]
) -> None:
    """The result has exit code, outcome, whether the cause is known, and the gate's message."""
    ended = ending(exit_code, document)

    assert str(ended) == result
    assert ended.explanation == tuple(explanation)


@dataclass
class FakePytest:
    """A process that writes a report and exits."""

    writes: str
    lines: list[list[str]] = field(default_factory=list)

    def start(self, line: list[str], *, cwd: Path) -> Self:
        """Start the process."""
        assert cwd == Path("project")
        self.lines.append(line)
        folder = Path(line[5].removeprefix("--diffopt-report="))
        assert not folder.exists()
        if self.writes:
            folder.mkdir()
            (folder / "report.json").write_text(self.writes, encoding="utf-8")
        return self

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None: ...

    def wait(self) -> int:
        """Return the exit code."""
        return 2


def test_report_of_earlier_session_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An existing report is removed first; a session without a report is an error."""
    started = FakePytest(writes=json.dumps(report("passed")))
    monkeypatch.setattr(subprocess, "Popen", started.start)
    run_session(Path("project"), ("--gpu",), report=tmp_path / "report")
    started.writes = ""

    with pytest.raises(GateSessionError) as error:
        run_session(Path("project"), ("--gpu",), report=tmp_path / "report")

    assert str(error.value) == "pytest exited with code 2 and wrote no report; see log.txt"
    assert [line[2:4] + line[6:] for line in started.lines] == [["pytest", "-p", "--gpu"]] * 2


def test_commits_of_the_same_code_are_distinct(tmp_path: Path) -> None:
    """HEAD~1 exists, everything is committed, and the project has its own ini file."""
    for _ in range(2):
        commit(tmp_path, {"product.py": "SLOWDOWN = 0.0\n"})

    assert git(tmp_path, "rev-list", "--count", "HEAD") == "2"
    assert git(tmp_path, "status", "--porcelain") == ""
    assert (tmp_path / "pytest.ini").exists()


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
