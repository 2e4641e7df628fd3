"""The two commands that try the latency gates on a GPU: what they plan, run and tell; nothing is timed here."""

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
GREEN = Ending(exit_code=0, outcome="passed", explanation=("221 ms, 9.0 steps/s",))
RED = Ending(
    exit_code=1,
    outcome="regressed",
    explanation=(
        "the call became 5.1 % slower than at HEAD~1 (820a6d477) (1.0 % allowed)",
        "  change  +5.1 %, between +4.8 % and +5.4 % at 99.8 % confidence, 5 blocks of 4 calls",
        "  no count changed: the same operations take a different time, or the time is spent elsewhere",
    ),
)
MS = 1_000_000


def pair(slowdown: float, *, seen: float, blocks: int = 20, throttled: int = 0) -> Figures:
    """Return the figures of a pair of processes whose head took so much longer, to a thousandth either way."""
    head_ns = 200 * MS * (1 + seen)
    one = PairedBlock(base_ns=(200 * MS, 200 * MS), head_ns=(round(0.999 * head_ns), round(1.001 * head_ns)))
    timed = Pair(
        slowdown=slowdown,
        timing=PairedTiming.INTERLEAVED,
        repeats=1,
        seconds=20.0,
        blocks=(one,) * blocks,
        seconds_in_turn=0.0,
        blocks_in_turn=(),
        throttled_blocks=throttled,
    )
    return {"recipe": "bf16 + sdpa", "weights": "random", "pair": json.loads(msgspec.json.encode(timed))}


def test_what_is_cut_off_holds_something_of_all() -> None:
    """The same code comes first, and between two slowdowns; the first half has each of them."""
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


def test_each_pair_is_measured_where_the_command_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a GPU full-size SDXL, in turn and so once; each with a number of its own; its raw times are kept."""
    asked: list[Mapping[str, Any]] = []

    def measure(slowdown: float, **how: Any) -> Pair:
        asked.append({"slowdown": slowdown, **how})
        return msgspec.convert(pair(slowdown, seen=slowdown)["pair"], Pair)

    monkeypatch.setattr(false_alarms, "measure", measure)
    monkeypatch.setattr(false_alarms, "weights_of", lambda _setting: "random")
    figures = [case.measure() for case in COMMANDS["false-alarms"].cases(MEASURED)[:2]]

    call = TimedCall(device=Device.CUDA, scale=Scale.FULL, recipe="bf16 + sdpa", steps=2)
    assert asked == [
        {"slowdown": slowdown, "seconds": 20.0, "seconds_in_turn": 0.0, "number": number, "call": call}
        for number, slowdown in enumerate((0.0, 0.02))
    ]
    assert json.loads(json.dumps(figures)) == [pair(0.0, seen=0.0), pair(0.02, seen=0.02)]


def test_the_table_of_false_alarms() -> None:
    """Each pair as it was seen, and how the gate ends sessions drawn from all of a kind, or made slower by figures."""
    seen = {
        "same code, pair 1": pair(0.0, seen=0.001),
        "5 % injected, pair 1": pair(0.05, seen=0.048, throttled=3),
    }

    assert on_gpu.report(COMMANDS["false-alarms"], REHEARSED, GPU, seen)[2:] == [
        f"rehearsal | {line}"
        for line in (
            "weights: random",
            "pair of processes    head is slower by  scatter  a call  blocks  throttled",
            "same code, pair 1               +0.10%    0.10%   0.2 s      20          0",
            "5 % injected, pair 1             +4.80%    0.10%   0.2 s      20          3",
            "injected      pairs  called slower  not slower  undecided  multiplied into the same code",
            "same code        1          0.00%     100.00%      0.00%                          0.00%",
            "1 % injected      0              -           -          -                          0.00%",
            "2 % injected      0              -           -          -                        100.00%",
            "3 % injected      0              -           -          -                        100.00%",
            "5 % injected      1        100.00%       0.00%      0.00%                        100.00%",
            "500 sessions of up to 60 s, drawn from these pairs; margin 1 %",
        )
    ]


def test_a_pair_on_a_throttled_gpu_has_no_ratio() -> None:
    """Its row says so, and nothing is drawn from it."""
    seen = {"same code, pair 1": pair(0.0, seen=0.0, blocks=0, throttled=7), "5 % injected, pair 1": {"failed": "no"}}

    lines = COMMANDS["false-alarms"].table(REHEARSED, seen)

    assert lines[1].split() == ["same", "code,", "pair", "1", "throttled", "0", "7"]
    assert lines[2].split() == ["5", "%", "injected,", "pair", "1", "failed"]
    assert lines[4].split() == ["same", "code", "0", "-", "-", "-", "-"]


def report(outcome: str, *explanation: str, summary: str = "221 ms") -> dict[str, Any]:
    """Return a report of one verdict."""
    verdict = {"outcome": outcome, "explanation": list(explanation), "summary": summary}
    return {"verdicts": [{"nodeid": "test_it.py::test_latency", "verdict": verdict}], "broken": []}


@pytest.mark.parametrize(
    ("exit_code", "document", "read", "told"),
    [
        (0, report("passed"), "exit code 0, passed", ("221 ms",)),
        (
            1,
            report("regressed", "diffopt: it became slower", "  no count changed: the same operations"),
            "exit code 1, regressed, with its cause",
            ("it became slower", "  no count changed: the same operations"),
        ),
        (
            1,
            report("regressed", "diffopt: it became slower", "  counts that changed, on the simulated GPU:"),
            "exit code 1, regressed, with its cause",
            ("it became slower", "  counts that changed, on the simulated GPU:"),
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
    ids=["green", "same-counts", "other-counts", "not-counted", "broken", "nothing"],
)
def test_what_a_session_told_is_read_from_its_report(
    exit_code: int, document: Mapping[str, Any], read: str, told: Sequence[str]
) -> None:
    """Exit code, outcome, whether the cause was told, and the gate's own words."""
    seen = ending(exit_code, document)

    assert str(seen) == read
    assert seen.explanation == tuple(told)


@dataclass
class FakePytest:
    """A process that ends at once, after it wrote a report."""

    writes: str
    lines: list[list[str]] = field(default_factory=list)

    def start(self, line: list[str], *, cwd: Path) -> Self:
        """Start it."""
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


def test_a_session_never_reads_the_report_of_an_earlier_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What lies there goes first; a session without a report has told nothing, and is an error."""
    started = FakePytest(writes=json.dumps(report("passed")))
    monkeypatch.setattr(subprocess, "Popen", started.start)
    run_session(Path("project"), ("--gpu",), report=tmp_path / "report")
    started.writes = ""

    with pytest.raises(GateSessionError) as error:
        run_session(Path("project"), ("--gpu",), report=tmp_path / "report")

    assert str(error.value) == "pytest ended with 2 and wrote no report; log.txt says why"
    assert [line[2:4] + line[6:] for line in started.lines] == [["pytest", "-p", "--gpu"]] * 2


def test_two_commits_of_the_same_code_are_two(tmp_path: Path) -> None:
    """HEAD~1 is there, nothing is left uncommitted, and no ini file above this folder is asked."""
    for _ in range(2):
        commit(tmp_path, {"product.py": "SLOWDOWN = 0.0\n"})

    assert git(tmp_path, "rev-list", "--count", "HEAD") == "2"
    assert git(tmp_path, "status", "--porcelain") == ""
    assert (tmp_path / "pytest.ini").exists()


@dataclass
class Sessions:
    """Stands in for git and pytest: each session ends as it is told to."""

    endings: list[Ending]
    starts_over: bool = False
    committed: list[str] = field(default_factory=list)
    asked: list[tuple[str, ...]] = field(default_factory=list)

    def commit(self, _folder: Path, files: Mapping[str, str]) -> None:
        """Remember the slowdown of a commit."""
        self.committed.append(files["product.py"].splitlines()[4])

    def run(self, _project: Path, options: tuple[str, ...], *, report: Path) -> Ending:
        """End a session; one that accepts adds to the baseline."""
        self.asked.append((report.name, *options))
        if "--diffopt-update=all" in options:
            file = report.parent / "baselines" / "nvidia-h200" / "test_it" / "a.json"
            held = json.loads(file.read_text(encoding="utf-8"))["sessions"] if file.exists() else []
            file.parent.mkdir(parents=True, exist_ok=True)
            kept = [] if self.starts_over else held
            file.write_text(json.dumps({"sessions": [*kept, {}]}), encoding="utf-8")
            return GREEN
        return self.endings.pop(0)


@pytest.fixture
def sessions(monkeypatch: pytest.MonkeyPatch) -> Sessions:
    """Nothing is started; every session ends green unless a test says otherwise."""
    one = Sessions(endings=[GREEN])
    monkeypatch.setattr(paired, "commit", one.commit)
    monkeypatch.setattr(paired, "run_session", one.run)
    monkeypatch.setattr(paired, "weights_of", lambda _setting: "random")
    return one


def measured(name: str, reports: Path, *, is_rehearsal: bool = False) -> Figures:
    """Measure one case of `paired`."""
    setting = Setting(is_rehearsal=is_rehearsal, reports=reports)
    (case,) = (case for case in COMMANDS["paired"].cases(setting) if case.name == name)
    return case.measure()


def test_a_slower_commit_is_compared_with_the_one_before(sessions: Sessions, tmp_path: Path) -> None:
    """As a user does, with the gate's own margin and budget; red with its cause is what must come."""
    sessions.endings = [RED]
    figures = measured("injected 5 %", tmp_path)

    assert sessions.committed == ["SLOWDOWN = 0.0", "SLOWDOWN = 0.05"]
    assert sessions.asked == [("injected-5", "--diffopt-against=HEAD~1", "--gpu")]
    assert dict(figures) == {
        "recipe": "bf16 + sdpa",
        "weights": "random",
        "injected": 0.05,
        "expected": "exit code 1, regressed, with its cause",
        "seen": "exit code 1, regressed, with its cause",
        "explanation": list(RED.explanation),
        "seconds": figures["seconds"],
        "report": "injected-5/report.json",
    }


def test_what_ends_otherwise_is_wrong(sessions: Sessions, tmp_path: Path) -> None:
    """The same code that is called slower is told with what was expected."""
    sessions.endings = [RED]
    figures = measured("same code", tmp_path)

    assert sessions.committed == ["SLOWDOWN = 0.0"] * 2
    assert figures["wrong"] == "expected exit code 0, passed, seen exit code 1, regressed, with its cause"


def test_the_stored_gate_judges_after_three_sessions(sessions: Sessions, tmp_path: Path) -> None:
    """Three sessions are accepted, then one is judged; the next case needs no more of them."""
    same = measured("stored, same code", tmp_path)
    sessions.endings = [RED]
    injected = measured("stored, injected 10 %", tmp_path)

    at = f"--diffopt-baselines={tmp_path / 'baselines'}"
    accepting = ("--diffopt-update=all", "--diffopt-allow-ci-update", at, "--gpu")
    assert sessions.asked == [
        *((f"session-{number}", *accepting) for number in (1, 2, 3)),
        ("stored-same-code", at, "--gpu"),
        ("stored-injected-10", at, "--gpu"),
    ]
    assert sessions.committed == ["SLOWDOWN = 0.0"] * 3 + ["SLOWDOWN = 0.1"]
    assert not {"wrong"} & (same.keys() | injected.keys())


def test_a_baseline_that_begins_anew_is_an_error(sessions: Sessions, tmp_path: Path) -> None:
    """Sessions that differ by more than the margin are no baseline to try a gate with."""
    sessions.starts_over = True

    with pytest.raises(GateSessionError) as error:
        measured("stored, same code", tmp_path)

    assert str(error.value) == (
        f"{tmp_path / 'baselines'} holds 1 sessions, and 3 are wanted: one differed from the others by more than the "
        "margin, or they are of another GPU; remove the folder to begin anew"
    )


def test_a_session_that_accepts_nothing_is_an_error(
    sessions: Sessions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A GPU that another process uses gives no baseline; the gate's own reason is told."""
    unfit = Ending(exit_code=0, outcome="inconclusive", explanation=("another process computes on the GPU", "  more"))
    monkeypatch.setattr(paired, "run_session", lambda *_, **__: unfit)

    with pytest.raises(GateSessionError) as error:
        measured("stored, same code", tmp_path)

    assert sessions.committed == ["SLOWDOWN = 0.0"]
    assert str(error.value) == ("nothing was accepted: exit code 0, inconclusive: another process computes on the GPU")


def test_a_rehearsal_plants_and_allows_more(sessions: Sessions, tmp_path: Path) -> None:
    """On the CPU, whose neighbours make calls half as long again; and the names say how much."""
    sessions.endings = [RED]
    measured("injected 50 %", tmp_path, is_rehearsal=True)

    assert sessions.asked == [
        ("injected-50", "--diffopt-against=HEAD~1", "--diffopt-margin=0.1", "--diffopt-max-seconds=30")
    ]
    assert [case.name for case in COMMANDS["paired"].cases(REHEARSED)][2:] == [
        "stored, same code",
        "stored, injected 300 %",
    ]


def figures_of(expected: str, seen: Ending, took_seconds: float) -> Figures:
    """Return the figures of a case of `paired`."""
    told = {
        "weights": "random",
        "expected": expected,
        "seen": str(seen),
        "explanation": list(seen.explanation),
        "seconds": took_seconds,
    }
    return told if str(seen) == expected else told | {"wrong": f"expected {expected}, seen {seen}"}


def test_the_table_of_the_gates() -> None:
    """Expected beside seen, WRONG where they differ, and then what the gate said."""
    seen = {
        "same code": figures_of(str(GREEN), RED, 71.234),
        "injected 5 %": figures_of(str(RED), RED, 80.0),
        "stored, same code": {"failed": "GateSessionError: nothing was accepted"},
    }
    right, wrong = "exit code 0, passed", "exit code 1, regressed, with its cause"
    width = len(wrong)

    assert on_gpu.report(COMMANDS["paired"], MEASURED, GPU, seen) == [
        "paired: NVIDIA H200, torch 2.11.0, scale full",
        "weights: random",
        f"case                  {'expected':>{width}}  {'seen':>{width}}            took",
        f"same code             {right:>{width}}  {wrong}  WRONG  71.23 s",
        f"injected 5 %           {wrong}  {wrong}         80.00 s",
        f"stored, same code     {right:>{width}}  {'failed':>{width}}",
        f"stored, injected 10 %  {wrong}  {'-':>{width}}",
        f"same code: {RED.explanation[0]}",
        *RED.explanation[1:],
        f"injected 5 %: {RED.explanation[0]}",
        *RED.explanation[1:],
        "same code: wrong: expected exit code 0, passed, seen exit code 1, regressed, with its cause",
        "stored, same code: failed: GateSessionError: nothing was accepted",
    ]


def test_a_wrong_case_makes_the_exit_code_1(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also in every later run that goes on from the file: it is not measured again until it is right."""
    names = [case.name for case in COMMANDS["paired"].cases(MEASURED)]
    answers: dict[str, Any] = {name: figures_of(str(GREEN), GREEN, 1.0) for name in names}
    answers |= {"environment": GPU, names[0]: figures_of(str(GREEN), RED, 1.0)}
    asked: list[str] = []

    def ask(_command: str, _options: object, _log: Path, case: str, _seconds: float | None = None) -> Any:
        asked.append(case)
        return answers[case]

    monkeypatch.setattr(on_gpu, "ask_child", ask)
    line = ["paired", "--json", str(tmp_path / "paired.json")]

    assert on_gpu.main(line) == 1
    assert on_gpu.main([*line, "--retry-failed"]) == 1
    assert asked == ["environment", *names, "environment"]
    assert "same code: wrong: " in capsys.readouterr().out
