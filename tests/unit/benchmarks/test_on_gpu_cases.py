"""Test the process of one case of a GPU command, and its result; nothing is measured."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks.on_gpu import children, measuring, one_case
from benchmarks.on_gpu.command import Case, Figures
from benchmarks.on_gpu.commands import COMMANDS
from benchmarks.on_gpu.measuring import Run
from benchmarks.on_gpu.setting import Setting
from pytest_diffopt.probes.out_of_memory import DeviceMemoryError

MEASURED = Setting(is_rehearsal=False, reports=Path("reports"))
REHEARSED = Setting(is_rehearsal=True, reports=Path("reports"))
RUN = Run(pipeline="sdxl", recipe="fp32", steps=2)


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
    log, limit, wait = tmp_path / "log.txt", 60.0, subprocess.Popen.wait

    def end_when_ready(process: "subprocess.Popen[bytes]", timeout: float | None = None) -> int:
        if timeout != limit:
            return wait(process, timeout)
        while "ready" not in log.read_text(encoding="utf-8") and process.poll() is None:
            time.sleep(0.01)
        raise subprocess.TimeoutExpired(process.args, limit)

    monkeypatch.setattr(subprocess.Popen, "wait", end_when_ready)

    assert children.run_child("paired", (), log, "first", limit) is None
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
        "--rehearse runs tiny pipelines, without measuring"
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
