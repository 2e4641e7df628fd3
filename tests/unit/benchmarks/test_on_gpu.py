"""Test how the GPU commands continue and stop; nothing is measured."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from benchmarks.on_gpu import __main__ as on_gpu
from benchmarks.on_gpu.command import Figures
from benchmarks.on_gpu.results import Results, ResultsError
from benchmarks.on_gpu.running import Budget, measure_all

GPU = {"device": "NVIDIA H200", "versions": {"torch": "2.11.0", "cuda": "13.0"}}
CPU = {"device": "a CPU", "versions": {"torch": "2.13.0+cpu"}}


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
        (GPU, True, 'kind must be "rehearsal: '),
    ],
)
def test_file_of_another_machine_or_rehearsal_is_refused(
    tmp_path: Path, environment: Mapping[str, Any], *, is_rehearsal: bool, message: str
) -> None:
    """Figures of two machines, or of a measurement and a rehearsal, are never mixed in one file."""
    file = tmp_path / "ladder.json"
    results(file).keep("first", {"call_seconds": [1.0]})

    with pytest.raises(ResultsError) as error:
        results(file, environment=environment, is_rehearsal=is_rehearsal)

    assert str(error.value).startswith(f"{file} cannot be continued: {message}")
    assert str(error.value).endswith("; give another file")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"{", "it is not valid JSON: Expecting property name enclosed in double quotes (line 1, column 2)"),
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
