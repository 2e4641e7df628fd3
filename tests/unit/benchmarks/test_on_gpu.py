"""Test the commands for a GPU: how they continue and stop, and their tables; nothing is measured."""

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
    """A clock that each case advances by its duration; a case that exceeds its time limit is cut off."""

    def __init__(self, **takes_seconds: float) -> None:
        self.now = 0.0
        self.started: list[str] = []
        self._takes_seconds = takes_seconds

    def attempt(self, name: str, seconds: float) -> Figures | None:
        """Measure one case."""
        self.started.append(name)
        taken = self._takes_seconds[name]
        self.now += min(taken, seconds)
        return {"call_seconds": [taken]} if taken <= seconds else None

    def measure(self, results: Results, *, budget_seconds: float) -> list[str]:
        """Run one command, and return the remaining cases."""
        budget = Budget(seconds=budget_seconds, clock=lambda: self.now, start=self.now, least_seconds=60.0)
        return measure_all(list(self._takes_seconds), results, self.attempt, budget=budget, progress=lambda _line: None)


def results(path: Path, *, environment: Mapping[str, Any] = GPU, is_rehearsal: bool = False) -> Results:
    """Open a results file of the command `ladder`."""
    return Results(path, command="ladder", environment=environment, is_rehearsal=is_rehearsal)


def timed(seconds: float, **more: object) -> Figures:
    """Return the figures of a case whose calls take `seconds`."""
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


def test_restart_measures_only_missing_cases(tmp_path: Path) -> None:
    """Each case is written as soon as it is measured, and the next command continues after the last one."""
    file = tmp_path / "ladder.json"
    machine = Machine(first=100, second=100, third=100)

    assert machine.measure(results(file), budget_seconds=280) == ["third"]
    assert machine.measure(results(file), budget_seconds=280) == []
    assert machine.started == ["first", "second", "third", "third"]
    document = json.loads(file.read_text(encoding="utf-8"))
    assert list(document["cases"]) == ["first", "second", "third"]
    assert document["cut_off_seconds"] == {"third": [80.0]}
    assert [path.name for path in tmp_path.iterdir()] == ["ladder.json"]


def test_no_case_starts_with_little_time_left(tmp_path: Path) -> None:
    """With less than a minute left, the command stops between cases and cuts nothing off."""
    machine = Machine(first=500, second=10)

    assert machine.measure(results(tmp_path / "ladder.json"), budget_seconds=540) == ["second"]
    assert machine.started == ["first"]


def test_endless_case_is_given_up(tmp_path: Path) -> None:
    """A case that is cut off three times is failed, and the other cases are measured."""
    file = tmp_path / "ladder.json"
    machine = Machine(endless=10_000, second=10)

    for _ in range(3):
        machine.measure(results(file), budget_seconds=540)

    assert results(file).cases["endless"] == {
        "failed": "given up: cut off 3 times, after 540 s, 540 s, 540 s",
    }
    assert machine.measure(results(file), budget_seconds=540) == []
    assert machine.started == ["endless"] * 3 + ["second"]


def test_failures_are_kept_until_forgotten(tmp_path: Path) -> None:
    """A restart does not repeat failed cases unless `forget_failures` is called."""
    file = tmp_path / "ladder.json"
    results(file).keep("first", {"failed": "ValueError: no"})
    kept = results(file)

    assert kept.cases == {"first": {"failed": "ValueError: no"}}
    kept.forget_failures()
    assert kept.cases == {}


@pytest.mark.parametrize(
    ("environment", "is_rehearsal", "message"),
    [
        (CPU | {"device": "NVIDIA A100"}, False, 'environment must be {"device": "NVIDIA A100", "versions": '),
        (GPU, True, 'kind must be "rehearsal on a CPU: '),
    ],
)
def test_file_of_another_machine_or_rehearsal_is_refused(
    tmp_path: Path, environment: Mapping[str, Any], *, is_rehearsal: bool, message: str
) -> None:
    """Figures of two machines, or of a measurement and a rehearsal, are never mixed in one file."""
    file = tmp_path / "ladder.json"
    results(file).keep("first", timed(1))

    with pytest.raises(ResultsError) as error:
        results(file, environment=environment, is_rehearsal=is_rehearsal)

    assert str(error.value).startswith(f"{file} cannot be continued: {message}")
    assert str(error.value).endswith("; give another file")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"{", "it is not whole JSON: Expecting property name enclosed in double quotes (line 1, column 2)"),
        (b"[]", "it must have the keys cases, command, cut_off_seconds, environment, kind"),
    ],
)
def test_foreign_file_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    """A file that is not a results file is not overwritten."""
    file = tmp_path / "ladder.json"
    file.write_bytes(content)

    with pytest.raises(ResultsError) as error:
        results(file)

    assert str(error.value) == f"{file} is not a results file: {message}; give another file"
    assert file.read_bytes() == content


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize("setting", [MEASURED, REHEARSED])
def test_every_case_has_unique_name_and_row(name: str, setting: Setting) -> None:
    """A table without measurements has a row with `-` for each case."""
    names = [case.name for case in COMMANDS[name].cases(setting)]

    assert len(set(names)) == len(names) > 0
    assert sum(line.split().count("-") for line in COMMANDS[name].table(setting, {})) >= len(names)


def test_levels_that_autotune_come_last() -> None:
    """They compile for many minutes, so cheap levels are measured first."""
    names = [case.name for case in COMMANDS["ladder"].cases(MEASURED)]

    assert [name.rpartition("-")[0] for name in names] == [
        *(f"diffusion-fast-{number}" for number in (1, 2, 3)),
        *(f"modern-{number}" for number in (1, 2, 3, 4)),
        *(f"diffusion-fast-{number}" for number in (4, 5, 6)),
    ]


def test_ladder_table() -> None:
    """The table has the speedup over the first level, out-of-memory, failures, and the fastest modern level."""
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
        "level                                   call  speedup      compile time  peak memory",
        "diffusion-fast-1-fp32                 6.00 s   1.00 x                 -     8.00 GiB",
        "diffusion-fast-2-bf16                 3.00 s   2.00 x                 -     8.00 GiB",
        "diffusion-fast-3-sdpa                      -",
        "diffusion-fast-4-compile              2.00 s   3.00 x  312.3 s (cached)     8.00 GiB",
        "diffusion-fast-5-fuse_qkv             failed",
        "diffusion-fast-6-int8                      -",
        "modern-1-bf16                         2.50 s   2.40 x                 -     8.00 GiB",
        "modern-2-compile                      1.50 s   4.00 x            20.0 s     8.00 GiB",
        "modern-3-int8              OOM after warm-up",
        "modern-4-fp8                             OOM",
        "fastest level of modern: modern-2-compile",
        "diffusion-fast-5-fuse_qkv: failed: ValueError: no",
        "modern-3-int8: out_of_memory: after warm-up",
        "modern-4-fp8: out_of_memory: while it was built",
    ]


def test_throughput_table() -> None:
    """Ten steps in 2 s are 5 steps per second; the speedup is shown if both cells are measured."""
    seen = {
        "sd15 batch 1 not compiled": timed(2.0),
        "sd15 batch 1 compiled": timed(1.0, compiled_frames=1, compile_seconds=44.4, compile_cache=["hit"]),
        "sd15 batch 4 not compiled": {"out_of_memory": "during warm-up", "reason": "out of memory"},
        "sd15 batch 4 compiled": timed(4.0, call_seconds=[]),
    }

    lines = COMMANDS["table"].table(MEASURED, seen)

    assert lines[:3] == [
        "pipeline         batch  not compiled   compiled  speedup     compile time",
        "sd15                 1          5.00      10.00   2.00 x  44.4 s (cached)",
        "sd15                 4           OOM  throttled",
    ]
    assert lines[-1] == "denoise steps per second of the loop alone; one step processes the whole batch"


@pytest.mark.parametrize(("watched", "outcome"), [(1.001, "passed"), (1.02, "failed"), (1.005, "inconclusive")])
def test_overhead_table(watched: float, outcome: str) -> None:
    """A row passes or fails if the whole interval is on one side of the limit."""
    samples = [1.0, 1.001, 0.999] * 20
    seen = {"syncs": {"watched_seconds": [watched * one for one in reversed(samples)], "unwatched_seconds": samples}}

    row = next(line for line in COMMANDS["overhead"].table(MEASURED, seen) if line.startswith("syncs"))

    assert row.endswith(f"  {outcome}")
    assert f"{watched - 1:+.2%}" in row


def test_suites_table_lists_failures() -> None:
    """The table has the counts of verdicts, and a line for each failed or broken test."""
    seen = {
        "test_flux": {
            "verdicts": {"passed": 12, "missing": 1, "regressed": 1},
            "skipped": 2,
            "failures": ["suites/test_flux.py::test_no_syncs: 3 syncs in 4 steps"],
            "broken": ["suites/test_flux.py::test_counts"],
        }
    }

    lines = COMMANDS["suites"].table(MEASURED, seen)

    assert next(line for line in lines if line.startswith("test_flux")).split("  ")[-1].strip() == "2"
    assert lines[-2:] == [
        "failed: suites/test_flux.py::test_no_syncs: 3 syncs in 4 steps",
        "failed: suites/test_flux.py::test_counts",
    ]


def test_every_line_of_a_rehearsal_is_marked() -> None:
    """No copied line can be mistaken for a measurement."""
    lines = on_gpu.report(COMMANDS["ladder"], REHEARSED, CPU, {"modern-1-bf16": timed(1.0)})

    assert lines[0] == REHEARSAL == "rehearsal on a CPU: tiny pipelines, nothing here is a measurement"
    assert all(line.startswith("rehearsal | ") for line in lines[1:])


def answering(answers: Mapping[str, dict[str, Any]]) -> Callable[..., dict[str, Any] | None]:
    """Return a fake for the processes of cases; a case without an answer is cut off."""

    def run(_command: str, _options: object, _log: Path, case: str, _seconds: float | None = None) -> Any:
        return answers.get(case)

    return run


def test_command_needs_a_gpu(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without a GPU the exit code is 2, and no file is written."""
    monkeypatch.setattr(on_gpu, "run_child", answering({"environment": {"refused": "torch finds no CUDA device"}}))
    file = tmp_path / "ladder.json"

    assert on_gpu.main(["ladder", "--json", str(file)]) == 2
    assert capsys.readouterr().err == "on_gpu: torch finds no CUDA device\n"
    assert not file.exists()


def test_remaining_cases_are_listed_with_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The exit code is 3 if a case was cut off, and the command that continues is printed."""
    first = "none (the same call twice)"
    figures = {"watched_seconds": [1.0, 1.1], "unwatched_seconds": [1.0, 1.1]}
    monkeypatch.setattr(on_gpu, "run_child", answering({"environment": CPU, first: figures}))
    file = tmp_path / "overhead.json"

    assert on_gpu.main(["overhead", "--json", str(file), "--rehearse"]) == 3
    assert capsys.readouterr().out.splitlines()[-2:] == [
        "left: compilation, loop time, syncs, images and latents",
        f"continue with: python -m benchmarks.on_gpu overhead --json {file} --budget-seconds 540 --rehearse",
    ]
    assert list(json.loads(file.read_text(encoding="utf-8"))["cases"]) == [first]


@pytest.mark.parametrize("given", ["0", "-1", "nan"])
def test_budget_must_be_positive(given: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The message has the given value."""
    with pytest.raises(SystemExit, match="2"):
        on_gpu.main(["ladder", "--json", "ladder.json", "--budget-seconds", given])

    assert f"must be a positive number of seconds, got: {given}" in capsys.readouterr().err


def as_child(monkeypatch: pytest.MonkeyPatch, folder: Path, code: str) -> None:
    """Replace `one_case` by a program with this code."""
    package = folder / "benchmarks" / "on_gpu"
    package.mkdir(parents=True)
    for name in ("benchmarks/__init__.py", "benchmarks/on_gpu/__init__.py"):  # precede every other package of this name
        (folder / name).touch()
    (package / "one_case.py").write_text(code, encoding="utf-8")
    monkeypatch.setattr(children, "_ROOT", folder)


def test_dying_process_is_a_failed_case(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The result has the exit code, and the output is in the log."""
    as_child(monkeypatch, tmp_path, "import sys\nprint('words', flush=True)\nsys.exit(7)\n")
    log = tmp_path / "log.txt"

    answer = children.run_child("ladder", (), log, "first", 60.0)

    assert answer == {"failed": "its process exited with code 7 and without an answer"}
    assert log.read_text(encoding="utf-8") == "words\n"


def test_slow_process_is_cut_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that exceeds its time limit is ended, and gives None."""
    as_child(monkeypatch, tmp_path, "import time\ntime.sleep(600)\n")

    assert children.run_child("ladder", (), tmp_path / "log.txt", "first", 0.2) is None


def test_cut_off_process_ends_its_children_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The process gets SIGTERM before SIGKILL, so that it can end children in other sessions."""
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

    assert children.run_child("paired", (), tmp_path / "log.txt", "first", 5.0) is None
    assert (tmp_path / "ended").exists()


def test_sigterm_unwinds_a_case(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """SIGTERM raises SystemExit in the case, so that open resources are closed."""
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


def test_child_gets_arguments_and_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The arguments are the command, the case, the file for the answer and the options, in this order."""
    as_child(monkeypatch, tmp_path, "import json, sys\njson.dump({'got': sys.argv[1:]}, open(sys.argv[3], 'w'))\n")

    answer = children.run_child("ladder", ["--rehearse"], tmp_path / "log.txt", "first", 60.0)

    assert answer is not None
    command, case, _file, *options = answer["got"]
    assert (command, case, options) == ("ladder", "first", ["--rehearse"])


def test_refusal_without_cuda_mentions_rehearsal(monkeypatch: pytest.MonkeyPatch) -> None:
    """The message has what is needed, what was found, and `--rehearse`; a rehearsal needs no GPU."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)

    assert one_case.environment_of(MEASURED) == {
        "refused": f"needs an NVIDIA GPU, but torch {torch.__version__} finds no CUDA device; "
        "--rehearse runs tiny pipelines on the CPU, without measuring"
    }
    assert one_case.environment_of(REHEARSED)["versions"]["torch"] == version("torch")


def test_exception_of_a_case_is_a_result() -> None:
    """The first line of the exception is the result; the traceback goes to the log."""

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
def test_out_of_memory_is_a_result(monkeypatch: pytest.MonkeyPatch, error: Exception, when: str) -> None:
    """The result has the phase and torch's reason."""

    def run_out(_setting: Setting, run: Run) -> tuple[Any, Any]:
        assert run is RUN
        raise error

    monkeypatch.setattr(measuring, "built", run_out)

    assert measuring.measure_run(REHEARSED, RUN) == {"out_of_memory": when, "reason": "out of memory"}


def test_unavailable_recipe_is_a_result() -> None:
    """A level that needs a newer GPU is unavailable, not failed."""
    figures = measuring.measure_run(REHEARSED, replace(RUN, recipe="bf16 + fp8_dynamic"))

    assert list(figures) == ["unavailable"]
    assert figures["unavailable"].startswith("fp8_dynamic needs a GPU of compute capability 8.9 or newer")


def test_suite_without_report_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If pytest cannot run a suite, the result has its exit code and no verdicts."""
    lines: list[list[str]] = []

    def run(line: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        lines.append(line)
        return subprocess.CompletedProcess(line, 4)

    monkeypatch.setattr(subprocess, "run", run)
    first = COMMANDS["suites"].cases(Setting(is_rehearsal=False, reports=tmp_path))[0]

    assert first.measure() == {"failed": "pytest exited with code 4"}
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
def test_baselines_are_updated_file_by_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, is_rehearsal: bool, more: list[str]
) -> None:
    """On the GPU they go into the repository, in a rehearsal into the report folder."""
    lines: list[list[str]] = []

    def run(line: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        lines.append(line)
        return subprocess.CompletedProcess(line, 4)

    monkeypatch.setattr(subprocess, "run", run)
    COMMANDS["baselines"].cases(Setting(is_rehearsal=is_rehearsal, reports=tmp_path))[0].measure()
    elsewhere = [f"--diffopt-baselines={tmp_path / 'baselines'}"] if is_rehearsal else []

    assert lines[0][8:] == [*more, "--diffopt-update=all", "--diffopt-allow-ci-update", *elsewhere]


def test_suite_result_is_read_from_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Regressed, improved exact and broken cases are listed; a missing baseline is only counted."""

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
        "failures": ["b: regressed", "e: improved"],
        "broken": ["f: E"],
    }
    assert on_gpu.report(COMMANDS["suites"], MEASURED, GPU, {})[0].endswith("scale tiny")
