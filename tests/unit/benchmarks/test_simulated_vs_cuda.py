"""Test how the comparison of simulated and real GPU continues, stops and reports; the readings are fake."""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from benchmarks import simulated_vs_cuda
from benchmarks.agreement import Reading
from benchmarks.agreement_cases import Case
from benchmarks.on_gpu.command import Figures

READING = asdict(Reading(syncs={"a.py:1": 2}, num_syncs=2, flops=10, operations=5, peak_bytes=1000))
AGREED = {"simulated": READING, "real": READING}
GPU = "NVIDIA H200"


class Machine:
    """A fake GPU, and a clock that each case advances."""

    def __init__(self, **takes_seconds: float) -> None:
        self.now = 0.0
        self.read: list[str] = []
        self.takes_seconds = takes_seconds
        self.fails: Sequence[str] = ()

    def cases(self, *, with_gpu: bool) -> list[Case]:
        """Return every case."""
        assert with_gpu
        return [Case(name=name, prepare=unused) for name in self.takes_seconds]

    def read_both(self, case: Case) -> Figures:
        """Read one case."""
        self.now += self.takes_seconds[case.name]
        self.read.append(case.name)
        return {"failed": "RuntimeError: no"} if case.name in self.fails else AGREED


def unused(_device: torch.device) -> Callable[[], object]:
    """Fail: no case is prepared."""
    raise AssertionError


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    """A fake GPU on which each of three cases takes 100 s."""
    one = Machine(first=100, second=100, third=100)
    monkeypatch.setattr(simulated_vs_cuda, "cases", one.cases)
    monkeypatch.setattr(simulated_vs_cuda, "_read_both", one.read_both)
    monkeypatch.setattr(simulated_vs_cuda, "time", SimpleNamespace(monotonic=lambda: one.now))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda *_device: GPU)
    return one


def test_same_command_continues_after_budget(
    machine: Machine, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """No case starts with less than 20 s left, exit code 3; the second run reads only the rest, exit code 0."""
    file = tmp_path / "agreement.json"
    line = ["--json", str(file), "--budget-seconds", "219"]

    assert simulated_vs_cuda.main(line) == 3
    assert capsys.readouterr().out.splitlines() == [
        f"{GPU}, torch {torch.__version__}, cuda {torch.version.cuda}",
        "case    syncs both  only simulated  only real  syncs / traced  FLOPs  ops / launches   peak",
        "first            2               0          0           2 / 2  equal           5 / 5  1.000",
        "second           2               0          0           2 / 2  equal           5 / 5  1.000",
        "",
        "of 2 cases: the same syncs in 2, equal FLOPs in 2, peak memory within 3% in 2",
        "left: third",
        f"continue with: python -m benchmarks.simulated_vs_cuda --json {file} --budget-seconds 219",
    ]
    assert simulated_vs_cuda.main(line) == 0
    assert machine.read == ["first", "second", "third"]
    assert list(json.loads(file.read_text(encoding="utf-8"))["cases"]) == ["first", "second", "third"]


def test_every_case_is_read_without_budget(machine: Machine, tmp_path: Path) -> None:
    """The default budget is unlimited."""
    assert simulated_vs_cuda.main(["--json", str(tmp_path / "agreement.json")]) == 0
    assert machine.read == ["first", "second", "third"]


def test_failed_case_is_repeated_only_with_retry_failed(
    machine: Machine, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A failed case is reported, and the exit code is 1 as long as it is in the file."""
    line = ["--json", str(tmp_path / "agreement.json")]
    machine.fails = ("second",)

    assert simulated_vs_cuda.main(line) == 1
    assert "  second: RuntimeError: no" in capsys.readouterr().out.splitlines()
    assert simulated_vs_cuda.main(line) == 1
    machine.fails = ()
    assert simulated_vs_cuda.main([*line, "--retry-failed"]) == 0
    assert machine.read == ["first", "second", "third", "second"]


def test_file_of_another_machine_is_refused(
    machine: Machine, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Readings of two GPUs are never mixed: exit code 2, and the file is unchanged."""
    file = tmp_path / "agreement.json"
    simulated_vs_cuda.main(["--json", str(file)])
    before = file.read_bytes()
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda *_device: "NVIDIA A100")
    capsys.readouterr()

    assert simulated_vs_cuda.main(["--json", str(file), "--retry-failed"]) == 2
    printed = capsys.readouterr()
    versions = json.dumps({"cuda": str(torch.version.cuda), "torch": str(torch.__version__)})
    assert printed.err == (
        f'simulated_vs_cuda: {file} cannot be continued: environment must be {{"device": "NVIDIA A100", "versions": '
        f'{versions}}}, got: {{"device": "{GPU}", "versions": {versions}}}; give another file\n'
    )
    assert printed.out == ""
    assert file.read_bytes() == before
    assert len(machine.read) == 3


def test_nothing_is_compared_without_gpu(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The simulated readings are printed, no file is written, and the last line states that nothing was compared."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(simulated_vs_cuda, "read_simulated", lambda _case: Reading(**READING))
    file = tmp_path / "agreement.json"

    assert simulated_vs_cuda.main(["--json", str(file)]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "EulerDiscreteScheduler: 2 syncs, 10 FLOPs, 5 operations",
        "DDIMScheduler: 2 syncs, 10 FLOPs, 5 operations",
        "nothing was compared: no CUDA device",
    ]
    assert not file.exists()


@pytest.mark.parametrize("given", ["0", "nan"])
def test_budget_must_be_positive(given: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The message has the given value."""
    with pytest.raises(SystemExit, match="2"):
        simulated_vs_cuda.main(["--budget-seconds", given])

    assert f"must be a positive number of seconds, got: {given}" in capsys.readouterr().err
