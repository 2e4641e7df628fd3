"""Test the command line: refused arguments, exit codes, continued runs."""

from dataclasses import replace
from pathlib import Path
from typing import Self

import pytest

from benchmarks.injected_faults import __main__ as command
from benchmarks.injected_faults import recording
from benchmarks.injected_faults.catalogue import FAULTS
from benchmarks.injected_faults.declaring import InjectedFault
from benchmarks.injected_faults.trials import NotCleanError, Trial
from tests.unit.benchmarks.injected_faults.test_results import MISSED, STORED


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--only", "no-such-fault"], "unknown fault 'no-such-fault'"),
        (["--false-alarms", "--seeds", "0"], "must be a positive integer, got: '0'"),
        (["--false-alarms", "--pipeline", "sd16"], "invalid choice: 'sd16'"),
    ],
)
def test_invalid_arguments_are_refused(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The arguments are checked before a pipeline is built."""
    with pytest.raises(SystemExit) as ended:
        command.main(arguments)

    assert ended.value.code == 2
    assert message in capsys.readouterr().err


class FakeRunner:
    """A trial runner that returns stored results."""

    def __init__(self, _folder: Path) -> None:
        self.tried: list[str] = []

    def __enter__(self) -> Self:
        """Remember this runner."""
        FakeRunner.opened = self
        return self

    def __exit__(self, *_error: object) -> None:
        """Release nothing."""

    opened: "FakeRunner"

    def run(self, fault: InjectedFault) -> Trial:
        """Return a caught fault; `nan-in-one-channel` is not caught, and `seed-ignored`'s pipeline is not clean."""
        self.tried.append(fault.name)
        if fault.name == "seed-ignored":
            message = "image must pass before seed-ignored is injected"
            raise NotCleanError(message)
        return replace(MISSED if fault.name == "nan-in-one-channel" else STORED, fault=fault)


@pytest.fixture(autouse=True)
def fake_runner(monkeypatch: pytest.MonkeyPatch) -> None:
    """Replace the trial runner, so that no pipeline is built."""
    monkeypatch.setattr(command, "TrialRunner", FakeRunner)
    monkeypatch.setattr(recording, "revision_now", lambda: "0123456789")


def test_uncaught_fault_exits_with_1(tmp_path: Path) -> None:
    """The JSON file and the page are written in any case."""
    page = tmp_path / "page.md"
    page.write_text("<!-- begin: injected faults -->\n<!-- end: injected faults -->\n", encoding="utf-8")
    code = command.main(
        ["--only", "nan-in-one-channel", "--json", str(tmp_path / "seen.json"), "--markdown", str(page)]
    )

    assert code == 1
    assert '"fault": "nan-in-one-channel"' in (tmp_path / "seen.json").read_text(encoding="utf-8")
    assert "0 of 1 (0 %) caught" in page.read_text(encoding="utf-8")
    assert "- measured: 1 at `0123456789`; 0 minutes in total" in page.read_text(encoding="utf-8")


def test_caught_fault_exits_with_0() -> None:
    """The exit code is 0 if every fault is caught."""
    assert command.main(["--only", "heads-reversed"]) == 0


def test_unclean_pipeline_exits_with_1(capsys: pytest.CaptureFixture[str]) -> None:
    """A fault whose clean pipeline fails is reported, and the other faults are tried."""
    code = command.main(["--only", "seed-ignored", "--only", "heads-reversed"])

    printed = capsys.readouterr()
    assert code == 1
    assert "seed-ignored: NOT TRIED: image must pass before seed-ignored is injected" in printed.err
    assert "1 of 1 (100 %) caught" in printed.out


def test_run_continues_from_results_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Faults with a line are not tried again but are in the totals; faults given by --only are tried again."""
    results = tmp_path / "results.jsonl"
    command.main(["--only", "heads-reversed", "--results", str(results)])
    capsys.readouterr()
    command.main(["--results", str(results)])

    assert "heads-reversed" not in FakeRunner.opened.tried
    assert len(FakeRunner.opened.tried) == len(FAULTS) - 1
    assert f"of {len(FAULTS) - 1} (99 %) caught" in capsys.readouterr().out

    command.main(["--only", "heads-reversed", "--results", str(results)])

    assert FakeRunner.opened.tried == ["heads-reversed"]
