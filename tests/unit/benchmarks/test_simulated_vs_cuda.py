"""Test how the comparison of the simulated GPU with CUDA continues, stops and reports; the two processes are fake."""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from packaging.version import Version

from benchmarks import simulated_vs_cuda
from benchmarks.agreement import Reading
from benchmarks.agreement_cases import Case
from benchmarks.agreement_processes import OnAnswer, Request
from benchmarks.on_gpu.running import Budget

SYNCS = {"a.py:1": 2}
READING = asdict(Reading(syncs=SYNCS, all_syncs=SYNCS, flops=10, launches=5, peak_bytes=1000))
HEADINGS = "case    syncs both  only simulated  only CUDA  all syncs  FLOPs  launches   peak"


class Sides:
    """Both sides: each case takes some seconds of a fake clock."""

    def __init__(self, *names: str, seconds: float = 100) -> None:
        self.names = names
        self.seconds = seconds
        self.now = 0.0
        self.read: list[str] = []
        self.fails: Sequence[str] = ()
        self.environments: dict[str, str] = {}

    def cases(self) -> list[Case]:
        """Return every case."""
        return [Case(name=name, prepare=unused) for name in self.names]

    def answer(self, requests: Sequence[Request], on_answer: OnAnswer, *, budget: Budget) -> None:
        """Answer as the processes do, until the budget is spent."""
        self.environments = {request.side: request.environment.get("CUDA_VISIBLE_DEVICES", "-") for request in requests}
        for name in self.names:
            for request in requests:
                if name in request.cases and not budget.is_spent:
                    failed = {"failed": "RuntimeError: no"}
                    on_answer(request.side, name, failed if name in self.fails else {"reading": READING})
                    self.read.append(f"{request.side} {name}")
            self.now += self.seconds


def unused(_device: torch.device) -> Callable[[], object]:
    """Fail: no case is prepared."""
    raise AssertionError


@pytest.fixture
def sides(monkeypatch: pytest.MonkeyPatch) -> Sides:
    """Two fake sides with three cases of 100 s."""
    one = Sides("first", "second", "third")
    monkeypatch.setattr(simulated_vs_cuda, "all_cases", one.cases)
    monkeypatch.setattr(simulated_vs_cuda, "read_sides", one.answer)
    monkeypatch.setattr(simulated_vs_cuda, "null_gpu_environment", lambda _gpu, base: dict(base))
    monkeypatch.setattr(simulated_vs_cuda, "time", SimpleNamespace(monotonic=lambda: one.now))
    monkeypatch.setattr(simulated_vs_cuda, "limits_for", lambda _version: ())
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    return one


def test_same_command_continues_after_budget(sides: Sides, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With less than 20 s left nothing is started, exit code 3; the second run reads only the rest, exit code 0."""
    file = tmp_path / "agreement.json"
    line = ["--json", str(file), "--budget-seconds", "199"]

    assert simulated_vs_cuda.main(line) == 3
    assert capsys.readouterr().out.splitlines() == [
        HEADINGS,
        "first            2               0          0      2 / 2  equal     5 / 5  1.000",
        "second           2               0          0      2 / 2  equal     5 / 5  1.000",
        "",
        (
            "of 2 cases the simulated GPU and CUDA agree on syncs that the sync debug mode reports in 2, "
            "all syncs in 2, FLOPs in 2"
        ),
        "left: third",
        f"continue with: python -m benchmarks.simulated_vs_cuda --real null --json {file} --budget-seconds 199",
    ]
    sides.now, sides.seconds = 0.0, 0.0
    assert simulated_vs_cuda.main(line) == 0
    assert sides.read == [f"{side} {name}" for name in sides.names for side in ("simulated", "null")]
    assert list(json.loads(file.read_text(encoding="utf-8"))["cases"]) == ["first", "second", "third"]


@pytest.mark.usefixtures("sides")
def test_readings_do_not_outlive_a_change_of_the_sources(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file from before the change is refused; which rows agreed, which the command itself writes, is no change."""
    package = tmp_path / "package"
    package.mkdir()
    source, rows = package / "table.py", package / "sync_confirmations.json"
    source.write_text("ROWS = 1")
    monkeypatch.setattr(simulated_vs_cuda, "_PACKAGE", package)
    line = ["--json", str(tmp_path / "agreement.json")]

    assert simulated_vs_cuda.main(line) == 0
    rows.write_text("{}")
    assert simulated_vs_cuda.main(line) == 0
    source.write_text("ROWS = 2")
    assert simulated_vs_cuda.main(line) == 2
    assert "cannot be continued: environment must be " in capsys.readouterr().err


def test_simulated_side_sees_no_gpu(sides: Sides, tmp_path: Path) -> None:
    """A process with CUDA has another simulated GPU, so that side's process has no visible device."""
    simulated_vs_cuda.main(["--json", str(tmp_path / "agreement.json")])

    assert sides.environments == {"simulated": "", "null": "0"}


def test_failed_case_is_repeated_only_with_retry_failed(
    sides: Sides, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A failed case is reported with its side, and the exit code is 1 as long as it is in the file."""
    line = ["--json", str(tmp_path / "agreement.json")]
    sides.fails = ("second",)

    assert simulated_vs_cuda.main(line) == 1
    assert "  second: real: RuntimeError: no" in capsys.readouterr().out.splitlines()
    sides.fails = ()
    assert simulated_vs_cuda.main(line) == 1
    assert simulated_vs_cuda.main([*line, "--retry-failed"]) == 0


def test_disagreement_fails_and_is_named(
    sides: Sides, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sync that only CUDA makes: exit code 1, with the case and the line."""
    file = tmp_path / "agreement.json"
    simulated_vs_cuda.main(["--json", str(file)])
    document = json.loads(file.read_text(encoding="utf-8"))
    document["cases"]["second"]["simulated"] |= {"syncs": {"a.py:1": 1}, "all_syncs": {"a.py:1": 1}}
    file.write_text(json.dumps(document), encoding="utf-8")
    monkeypatch.setattr(sides, "answer", None)
    capsys.readouterr()

    assert simulated_vs_cuda.main(["--json", str(file)]) == 1
    assert capsys.readouterr().out.splitlines()[5:8] == [
        "unexplained:",
        "  second: syncs that the sync debug mode reports: a.py:1: simulated 1, CUDA 2",
        "  second: all syncs: a.py:1: simulated 1, CUDA 2",
    ]


@pytest.mark.usefixtures("sides")
def test_file_of_another_gpu_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Readings of two GPUs are never mixed: exit code 2, and the file is unchanged."""
    file = tmp_path / "agreement.json"
    simulated_vs_cuda.main(["--json", str(file)])
    before = file.read_bytes()
    capsys.readouterr()

    assert simulated_vs_cuda.main(["--json", str(file), "--gpu", "l4"]) == 2
    printed = capsys.readouterr()
    assert printed.err.startswith(f"simulated_vs_cuda: {file} cannot be continued: environment must be ")
    assert '"device": "null NVIDIA L4"' in printed.err
    assert printed.out == ""
    assert file.read_bytes() == before


def test_gpu_is_required_with_real_gpu(
    sides: Sides, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a CUDA device nothing is compared, no file is written, and the exit code is 2."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    file = tmp_path / "agreement.json"

    assert simulated_vs_cuda.main(["--real", "gpu", "--json", str(file)]) == 2
    assert capsys.readouterr().err == (
        "simulated_vs_cuda: nothing was compared: --real gpu needs a CUDA device; --real null needs none\n"
    )
    assert not file.exists()
    assert not sides.read


def test_selected_cases_are_read(sides: Sides, tmp_path: Path) -> None:
    """`--only` takes parts of names."""
    assert simulated_vs_cuda.main(["--json", str(tmp_path / "agreement.json"), "--only", "fir", "thi"]) == 0
    assert sides.read == ["simulated first", "null first", "simulated third", "null third"]


def test_rows_are_recorded(sides: Sides, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With `--rows` the rows of the compared cases are recorded under the version of torch without its local label."""
    recorded: list[tuple[str, dict[str, frozenset[str]]]] = []
    cases = [Case(name="first", prepare=unused, row="item"), Case(name="second", prepare=unused)]
    monkeypatch.setattr(simulated_vs_cuda, "all_cases", lambda: cases)
    monkeypatch.setattr(simulated_vs_cuda, "record", lambda version, **rows: recorded.append((version, rows)))
    line = ["--json", str(tmp_path / "agreement.json")]

    assert simulated_vs_cuda.main(line) == 0
    assert recorded == []
    assert simulated_vs_cuda.main([*line, "--rows"]) == 0
    version = Version(torch.__version__).base_version
    assert recorded == [(version, {"agreed": frozenset({"item"}), "differed": frozenset()})]
    assert sides.read


def test_docs_need_all_cases(capsys: pytest.CaptureFixture[str]) -> None:
    """A table of selected cases would replace that of all."""
    with pytest.raises(SystemExit, match="2"):
        simulated_vs_cuda.main(["--docs", "--only", "row:"])

    assert "error: --docs writes the table of all cases; leave out --only" in capsys.readouterr().err


@pytest.mark.parametrize("given", ["0", "nan"])
def test_budget_must_be_positive(given: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The message has the given value."""
    with pytest.raises(SystemExit, match="2"):
        simulated_vs_cuda.main(["--budget-seconds", given])

    assert f"must be a positive number of seconds, got: {given}" in capsys.readouterr().err
