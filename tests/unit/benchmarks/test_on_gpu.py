"""The commands for a lent GPU: what they go on from, when they stop, what their tables say; nothing is measured."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks.on_gpu import __main__ as on_gpu
from benchmarks.on_gpu import children, measuring, one_case
from benchmarks.on_gpu.command import Case, Figures
from benchmarks.on_gpu.commands import COMMANDS
from benchmarks.on_gpu.measuring import Run
from benchmarks.on_gpu.results import REHEARSAL, Results, ResultsError
from benchmarks.on_gpu.running import Budget, measure_all
from benchmarks.on_gpu.setting import Setting
from pytest_diffopt.probes.out_of_memory import DeviceMemoryError

GPU = {"device": "NVIDIA H200", "versions": {"torch": "2.11.0", "cuda": "13.0"}}
CPU = {"device": "a CPU", "versions": {"torch": "2.13.0+cpu"}}
MEASURED = Setting(is_rehearsal=False, reports=Path("reports"))
REHEARSED = Setting(is_rehearsal=True, reports=Path("reports"))
RUN = Run(pipeline="sdxl", recipe="fp32", steps=2)


class Machine:
    """A clock that a case moves on by what it takes; a case that takes longer than it is given is cut off."""

    def __init__(self, **takes_seconds: float) -> None:
        self.now = 0.0
        self.begun: list[str] = []
        self._takes_seconds = takes_seconds

    def attempt(self, name: str, seconds: float) -> Figures | None:
        """Measure."""
        self.begun.append(name)
        taken = self._takes_seconds[name]
        self.now += min(taken, seconds)
        return {"call_seconds": [taken]} if taken <= seconds else None

    def measure(self, results: Results, *, budget_seconds: float) -> list[str]:
        """Run one command, and return what is left."""
        budget = Budget(seconds=budget_seconds, clock=lambda: self.now, start=self.now, least_seconds=60.0)
        return measure_all(list(self._takes_seconds), results, self.attempt, budget=budget, progress=lambda _line: None)


def results(path: Path, *, environment: Mapping[str, Any] = GPU, is_rehearsal: bool = False) -> Results:
    """Open a file of the ladder's results."""
    return Results(path, command="ladder", environment=environment, is_rehearsal=is_rehearsal)


def timed(seconds: float, **more: object) -> Figures:
    """Return the figures of a case of which each call took so long."""
    return {
        "weights": "random: HF_HUB_OFFLINE is set",
        "call_seconds": [seconds] * 3,
        "compile_seconds": 0.0,
        "compile_cache": [],
        "compiled_frames": 0,
        "loop_seconds": [seconds],
        "loop_steps": 10,
        "peak_allocated_bytes": 2**33,
    } | more


def test_a_restart_measures_what_is_missing_and_nothing_twice(tmp_path: Path) -> None:
    """Each case is in the file as soon as it is measured; the next command goes on after the last one."""
    file = tmp_path / "ladder.json"
    machine = Machine(first=100, second=100, third=100)

    assert machine.measure(results(file), budget_seconds=280) == ["third"]
    assert machine.measure(results(file), budget_seconds=280) == []
    assert machine.begun == ["first", "second", "third", "third"]
    document = json.loads(file.read_text(encoding="utf-8"))
    assert list(document["cases"]) == ["first", "second", "third"]
    assert document["cut_off_seconds"] == {"third": [80.0]}
    assert [path.name for path in tmp_path.iterdir()] == ["ladder.json"]


def test_no_case_is_begun_when_the_budget_is_nearly_spent(tmp_path: Path) -> None:
    """With less than a minute left it stops between cases, and nothing is cut off."""
    machine = Machine(first=500, second=10)

    assert machine.measure(results(tmp_path / "ladder.json"), budget_seconds=540) == ["second"]
    assert machine.begun == ["first"]


def test_a_case_that_never_ends_is_given_up(tmp_path: Path) -> None:
    """What it compiled may help the next attempt; after the third it is a failure, and the others get their turn."""
    file = tmp_path / "ladder.json"
    machine = Machine(endless=10_000, second=10)

    for _ in range(3):
        machine.measure(results(file), budget_seconds=540)

    assert results(file).cases["endless"] == {
        "failed": "given up: it was cut off 3 times, after 540 s, 540 s, 540 s",
    }
    assert machine.measure(results(file), budget_seconds=540) == []
    assert machine.begun == ["endless"] * 3 + ["second"]


def test_failures_are_kept_until_they_are_asked_for_again(tmp_path: Path) -> None:
    """A restart does not spend its time on what failed, unless it is told to."""
    file = tmp_path / "ladder.json"
    results(file).keep("first", {"failed": "ValueError: no"})
    kept = results(file)

    assert kept.cases == {"first": {"failed": "ValueError: no"}}
    kept.forget_failures()
    assert kept.cases == {}


@pytest.mark.parametrize(
    ("environment", "is_rehearsal", "told"),
    [
        (CPU | {"device": "NVIDIA A100"}, False, 'its environment is {"device": "NVIDIA H200", "versions": '),
        (GPU, True, 'its kind is "measured", and this is "rehearsal on a CPU: '),
    ],
)
def test_another_machine_or_a_rehearsal_cannot_go_on(
    tmp_path: Path, environment: Mapping[str, Any], *, is_rehearsal: bool, told: str
) -> None:
    """Figures of two machines, or of a rehearsal, never stand in one file."""
    file = tmp_path / "ladder.json"
    results(file).keep("first", timed(1))

    with pytest.raises(ResultsError) as error:
        results(file, environment=environment, is_rehearsal=is_rehearsal)

    assert str(error.value).startswith(f"{file} cannot be gone on from: {told}")
    assert str(error.value).endswith("; give another file")


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"{", "it is not valid JSON: Expecting property name enclosed in double quotes (line 1, column 2)"),
        (b"[]", "it must have the keys cases, command, cut_off_seconds, environment, kind"),
    ],
)
def test_a_file_that_holds_no_results_is_refused(tmp_path: Path, content: bytes, told: str) -> None:
    """It is somebody's, and is not written over."""
    file = tmp_path / "ladder.json"
    file.write_bytes(content)

    with pytest.raises(ResultsError) as error:
        results(file)

    assert str(error.value) == f"{file} holds no results: {told}; give another file"
    assert file.read_bytes() == content


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize("setting", [MEASURED, REHEARSED])
def test_every_case_has_a_name_of_its_own_and_a_row(name: str, setting: Setting) -> None:
    """A table before anything was measured says of each case that it was not."""
    names = [case.name for case in COMMANDS[name].cases(setting)]

    assert len(set(names)) == len(names) > 0
    assert sum(line.split().count("-") for line in COMMANDS[name].table(setting, {})) >= len(names)


def test_levels_that_autotune_come_last() -> None:
    """They compile for many minutes: what is cheap is in the file before."""
    names = [case.name for case in COMMANDS["ladder"].cases(MEASURED)]

    assert [name.rpartition("-")[0] for name in names] == [
        *(f"diffusion-fast-{number}" for number in (1, 2, 3)),
        *(f"modern-{number}" for number in (1, 2, 3, 4)),
        *(f"diffusion-fast-{number}" for number in (4, 5, 6)),
    ]


def test_the_ladders_table() -> None:
    """Each level beside the first; memory that ran out and a failure are told; the best of today is named."""
    seen = {
        "diffusion-fast-1-fp32": timed(6.0),
        "diffusion-fast-2-bf16": timed(3.0),
        "diffusion-fast-4-compile": timed(
            2.0, compiled_frames=2, compile_seconds=312.34, compile_cache=["hit", "miss"]
        ),
        "diffusion-fast-5-fuse_qkv": {"failed": "ValueError: no"},
        "modern-1-bf16": timed(2.5),
        "modern-2-compile": timed(1.5, compiled_frames=1, compile_seconds=20.0, compile_cache=["miss"]),
        "modern-3-int8": {"out_of_memory": "after warm-up", "reason": "out of memory"},
        "modern-4-fp8": {"out_of_memory": "while it was built", "reason": "out of memory"},
    }

    assert on_gpu.report(COMMANDS["ladder"], MEASURED, GPU, seen) == [
        "ladder: NVIDIA H200, torch 2.11.0, scale full",
        "weights: random: HF_HUB_OFFLINE is set",
        "level                                  a call  times the first         compiling  peak memory",
        "diffusion-fast-1-fp32                 6.00 s           1.00 x                 -     8.00 GiB",
        "diffusion-fast-2-bf16                 3.00 s           2.00 x                 -     8.00 GiB",
        "diffusion-fast-3-sdpa                      -",
        "diffusion-fast-4-compile              2.00 s           3.00 x  312.3 s (cached)     8.00 GiB",
        "diffusion-fast-5-fuse_qkv             failed",
        "diffusion-fast-6-int8                      -",
        "modern-1-bf16                         2.50 s           2.40 x                 -     8.00 GiB",
        "modern-2-compile                      1.50 s           4.00 x            20.0 s     8.00 GiB",
        "modern-3-int8              OOM after warm-up",
        "modern-4-fp8                             OOM",
        "today's best level: modern-2-compile",
        "diffusion-fast-5-fuse_qkv: failed: ValueError: no",
        "modern-3-int8: out_of_memory: after warm-up",
        "modern-4-fp8: out_of_memory: while it was built",
    ]


def test_the_table_of_steps_a_second() -> None:
    """Ten steps in two seconds are five a second; what compiling gains is told where both are known."""
    seen = {
        "sd15 batch 1 not compiled": timed(2.0),
        "sd15 batch 1 compiled": timed(1.0, compiled_frames=1, compile_seconds=44.4, compile_cache=["hit"]),
        "sd15 batch 4 not compiled": {"out_of_memory": "during warm-up", "reason": "out of memory"},
        "sd15 batch 4 compiled": timed(4.0, call_seconds=[]),
    }

    lines = COMMANDS["table"].table(MEASURED, seen)

    assert lines[:3] == [
        "pipeline         batch  not compiled   compiled    gain        compiling",
        "sd15                 1          5.00      10.00  2.00 x  44.4 s (cached)",
        "sd15                 4           OOM  throttled",
    ]
    assert lines[-1] == "denoise steps a second, the loop alone; one step draws the whole batch"


@pytest.mark.parametrize(
    ("watched", "told"), [(1.001, "kept"), (1.02, "broken"), (1.005, "not known")], ids=["kept", "broken", "not-known"]
)
def test_the_overheads_table(watched: float, told: str) -> None:
    """A promise is kept or broken where the whole interval is on one side of it."""
    samples = [1.0, 1.001, 0.999] * 20
    seen = {"syncs": {"watched_seconds": [watched * one for one in reversed(samples)], "unwatched_seconds": samples}}

    row = next(line for line in COMMANDS["overhead"].table(MEASURED, seen) if line.startswith("syncs"))

    assert row.endswith(f"  {told}")
    assert f"{watched - 1:+.2%}" in row


def test_the_suites_table_names_what_fails() -> None:
    """Verdicts as the report counts them, and each red or broken test on a line of its own."""
    seen = {
        "test_flux": {
            "verdicts": {"passed": 12, "missing": 1, "regressed": 1},
            "skipped": 2,
            "red": ["suites/test_flux.py::test_no_syncs: 3 syncs in 4 steps"],
            "broken": ["suites/test_flux.py::test_counts"],
        }
    }

    lines = COMMANDS["suites"].table(MEASURED, seen)

    assert next(line for line in lines if line.startswith("test_flux")).split("  ")[-1].strip() == "2"
    assert lines[-2:] == [
        "red: suites/test_flux.py::test_no_syncs: 3 syncs in 4 steps",
        "red: suites/test_flux.py::test_counts",
    ]


def test_every_line_of_a_rehearsal_is_reported() -> None:
    """No line that somebody copies out of it looks like a measurement."""
    lines = on_gpu.report(COMMANDS["ladder"], REHEARSED, CPU, {"modern-1-bf16": timed(1.0)})

    assert lines[0] == REHEARSAL == "rehearsal on a CPU: tiny pipelines, nothing here is a measurement"
    assert all(line.startswith("rehearsal | ") for line in lines[1:])


def answering(answers: Mapping[str, dict[str, Any]]) -> Callable[..., dict[str, Any] | None]:
    """Stand in for the processes of cases: each answers at once, and a case without an answer is cut off."""

    def ask(_command: str, _options: object, _log: Path, case: str, _seconds: float | None = None) -> Any:
        return answers.get(case)

    return ask


def test_without_a_gpu_it_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The exit code is 2, and no file is written: nothing must look as if it had been measured."""
    monkeypatch.setattr(on_gpu, "ask_child", answering({"environment": {"refused": "torch sees no CUDA device"}}))
    file = tmp_path / "ladder.json"

    assert on_gpu.main(["ladder", "--json", str(file)]) == 2
    assert capsys.readouterr().err == "on_gpu: torch sees no CUDA device\n"
    assert not file.exists()


def test_what_is_left_is_reported_with_the_command_to_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The exit code is 3 when a case was cut off."""
    first = "nothing (the same call twice)"
    figures = {"watched_seconds": [1.0, 1.1], "unwatched_seconds": [1.0, 1.1]}
    monkeypatch.setattr(on_gpu, "ask_child", answering({"environment": CPU, first: figures}))
    file = tmp_path / "overhead.json"

    assert on_gpu.main(["overhead", "--json", str(file), "--rehearse"]) == 3
    assert capsys.readouterr().out.splitlines()[-2:] == [
        "left: compilation, the denoise loop's time, syncs, images and latents",
        f"go on with: python -m benchmarks.on_gpu overhead --json {file} --budget-seconds 540 --rehearse",
    ]
    assert list(json.loads(file.read_text(encoding="utf-8"))["cases"]) == [first]


@pytest.mark.parametrize("given", ["0", "-1", "nan"])
def test_a_budget_is_a_positive_number(given: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Refused by its value."""
    with pytest.raises(SystemExit, match="2"):
        on_gpu.main(["ladder", "--json", "ladder.json", "--budget-seconds", given])

    assert f"must be a positive number of seconds, got: {given}" in capsys.readouterr().err


def as_child(monkeypatch: pytest.MonkeyPatch, folder: Path, code: str) -> None:
    """Let `one_case` be a program of these lines."""
    package = folder / "benchmarks" / "on_gpu"
    package.mkdir(parents=True)
    for name in ("benchmarks/__init__.py", "benchmarks/on_gpu/__init__.py"):  # before any other package of this name
        (folder / name).touch()
    (package / "one_case.py").write_text(code, encoding="utf-8")
    monkeypatch.setattr(children, "_ROOT", folder)


def test_a_process_that_dies_is_a_failed_case(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its exit code is told, and what it said is in the log."""
    as_child(monkeypatch, tmp_path, "import sys\nprint('words', flush=True)\nsys.exit(7)\n")
    log = tmp_path / "log.txt"

    answer = children.ask_child("ladder", (), log, "first", 60.0)

    assert answer == {"failed": "its process ended with 7 and without an answer"}
    assert log.read_text(encoding="utf-8") == "words\n"


def test_a_process_that_takes_too_long_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is cut off: no answer, and nothing of it is left."""
    as_child(monkeypatch, tmp_path, "import time\ntime.sleep(600)\n")

    assert children.ask_child("ladder", (), tmp_path / "log.txt", "first", 0.2) is None


def test_a_process_whose_time_is_over_first_ends_what_it_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What has a session of its own would outlive it: it is asked to end before it is made to."""
    code = """
import pathlib, signal, subprocess, sys, time
other = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
def end(*_):
    other.kill()
    other.wait()
    pathlib.Path("ended").touch()
    sys.exit(1)
signal.signal(signal.SIGTERM, end)
print("ready", flush=True)
time.sleep(600)
"""
    as_child(monkeypatch, tmp_path, code)

    assert children.ask_child("paired", (), tmp_path / "log.txt", "first", 5.0) is None
    assert (tmp_path / "ended").exists()


def test_a_case_ends_in_order_when_it_is_asked_to(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """SIGTERM unwinds it, so that whatever it holds open is closed."""
    before = signal.getsignal(signal.SIGTERM)
    closed: list[str] = []

    def measure() -> Figures:
        with contextlib.ExitStack() as stack:
            stack.callback(closed.append, "workers")
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(10)
        return {}

    command = replace(COMMANDS["ladder"], cases=lambda _setting: [Case(name="first", measure=measure)])
    monkeypatch.setitem(COMMANDS, "ladder", command)
    answer = tmp_path / "answer.json"
    monkeypatch.setattr(sys, "argv", ["one_case", "ladder", "first", str(answer), "--reports", str(tmp_path)])
    try:
        with pytest.raises(SystemExit, match="143"):
            one_case.main()
    finally:
        signal.signal(signal.SIGTERM, before)

    assert closed == ["workers"]
    assert not answer.exists()


def test_an_answer_comes_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is told the command, the case, the file for the answer and the options, in this order."""
    as_child(monkeypatch, tmp_path, "import json, sys\njson.dump({'got': sys.argv[1:]}, open(sys.argv[3], 'w'))\n")

    answer = children.ask_child("ladder", ["--rehearse"], tmp_path / "log.txt", "first", 60.0)

    assert answer is not None
    command, case, _file, *options = answer["got"]
    assert (command, case, options) == ("ladder", "first", ["--rehearse"])


def test_without_cuda_the_refusal_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    """What it needs, what is there, and the way to rehearse; a rehearsal needs nothing."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)

    assert one_case.environment_of(MEASURED) == {
        "refused": f"this measures on an NVIDIA GPU, and torch {torch.__version__} sees no CUDA device; "
        "--rehearse runs it on the CPU, tiny, and measures nothing"
    }
    assert one_case.environment_of(REHEARSED)["versions"]["torch"] == version("torch")


def test_a_case_that_raises_is_reported_in_a_line() -> None:
    """The traceback goes to the log, and the others are measured."""

    def fail() -> Figures:
        message = "no\nsecond line"
        raise ValueError(message)

    assert one_case.measured(Case(name="first", measure=fail)) == {"failed": "ValueError: no"}


@pytest.mark.parametrize(
    ("error", "when"),
    [
        (DeviceMemoryError("out of memory", when="during warm-up"), "during warm-up"),
        (DeviceMemoryError("out of memory", when="after warm-up"), "after warm-up"),
        (torch.OutOfMemoryError("out of memory"), "while it was built"),
    ],
    ids=["during-warm-up", "after-warm-up", "while-it-was-built"],
)
def test_memory_that_runs_out_is_a_result(monkeypatch: pytest.MonkeyPatch, error: Exception, when: str) -> None:
    """It says when, and torch's reason."""

    def run_out(_setting: Setting, run: Run) -> tuple[Any, Any]:
        assert run is RUN
        raise error

    monkeypatch.setattr(measuring, "built", run_out)

    assert measuring.measure_run(REHEARSED, RUN) == {"out_of_memory": when, "reason": "out of memory"}


def test_what_the_machine_lacks_is_a_result() -> None:
    """A level that needs a newer GPU has not failed."""
    figures = measuring.measure_run(REHEARSED, replace(RUN, recipe="bf16 + fp8_dynamic"))

    assert list(figures) == ["unavailable"]
    assert figures["unavailable"].startswith("fp8_dynamic needs a GPU of compute capability 8.9 or newer")


def test_a_suite_that_pytest_could_not_run_has_failed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its exit code is told; without a report there are no verdicts."""
    lines: list[list[str]] = []

    def run(line: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        lines.append(line)
        return subprocess.CompletedProcess(line, 4)

    monkeypatch.setattr(subprocess, "run", run)
    first = COMMANDS["suites"].cases(Setting(is_rehearsal=False, reports=tmp_path))[0]

    assert first.measure() == {"failed": "pytest ended with 4"}
    assert lines[0][3:] == [
        f"suites/{first.name}.py",
        "-m",
        "not slow",
        "--diffopt-report",
        str(tmp_path / first.name),
        "--gpu",
    ]


@pytest.mark.parametrize(
    ("is_rehearsal", "more"), [(False, ["--gpu"]), (True, [])], ids=["on the GPU", "in a rehearsal"]
)
def test_a_session_of_baselines_is_accepted_file_by_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, is_rehearsal: bool, more: list[str]
) -> None:
    """On the GPU into the repository; a rehearsal's lie beside its reports."""
    lines: list[list[str]] = []

    def run(line: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        lines.append(line)
        return subprocess.CompletedProcess(line, 4)

    monkeypatch.setattr(subprocess, "run", run)
    COMMANDS["baselines"].cases(Setting(is_rehearsal=is_rehearsal, reports=tmp_path))[0].measure()
    elsewhere = [f"--diffopt-baselines={tmp_path / 'baselines'}"] if is_rehearsal else []

    assert lines[0][8:] == [*more, "--diffopt-update=all", "--diffopt-allow-ci-update", *elsewhere]


def test_what_a_suite_told_is_read_from_its_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Counts of verdicts; what regressed, is better than accepted, or broke; a missing baseline is only counted."""

    def entry(name: str, outcome: str, concern: str) -> dict[str, Any]:
        return {"nodeid": name, "verdict": {"outcome": outcome, "concern": concern, "summary": outcome}}

    def run(line: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        folder = Path(line[line.index("--diffopt-report") + 1])
        folder.mkdir()
        verdicts = [
            entry("a", "passed", "syncs"),
            entry("b", "regressed", "latency"),
            entry("c", "missing", "latency"),
            entry("d", "improved", "latency"),
            entry("e", "improved", "compilation"),
        ]
        report = {
            "counts": {"passed": 1},
            "skipped": [{}],
            "verdicts": verdicts,
            "broken": [{"nodeid": "f", "reason": "E"}],
        }
        (folder / "report.json").write_text(json.dumps(report), encoding="utf-8")
        return subprocess.CompletedProcess(line, 1)

    monkeypatch.setattr(subprocess, "run", run)
    first = COMMANDS["suites"].cases(Setting(is_rehearsal=True, reports=tmp_path))[0]

    assert first.measure() == {
        "report": f"{first.name}/report.json",
        "exit_code": 1,
        "verdicts": {"passed": 1},
        "skipped": 1,
        "red": ["b: regressed", "e: improved"],
        "broken": ["f: E"],
    }
    assert on_gpu.report(COMMANDS["suites"], MEASURED, GPU, {})[0].endswith("scale tiny")
