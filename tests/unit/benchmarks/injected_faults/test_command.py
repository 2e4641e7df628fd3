"""The command line: what it refuses, and what its exit code means."""

from dataclasses import replace
from pathlib import Path
from typing import Self

import pytest

from benchmarks.injected_faults import __main__ as command
from benchmarks.injected_faults import recording
from benchmarks.injected_faults.catalogue import BUGS
from benchmarks.injected_faults.declaring import InjectedFault
from benchmarks.injected_faults.trials import NotCleanError, Trial
from tests.unit.benchmarks.injected_faults.test_results import MISSED, STORED


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--only", "no-such-bug"], "there is no bug 'no-such-bug'"),
        (["--false-alarms", "--seeds", "0"], "it must be a whole number from 1, got: '0'"),
        (["--false-alarms", "--pipeline", "sd16"], "invalid choice: 'sd16'"),
    ],
)
def test_what_cannot_be_done_is_reported(arguments: list[str], told: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Before anything is built."""
    with pytest.raises(SystemExit) as ended:
        command.main(arguments)

    assert ended.value.code == 2
    assert told in capsys.readouterr().err


class Bench:
    """A workshop that only looks things up."""

    def __init__(self, _folder: Path) -> None:
        self.tried: list[str] = []

    def __enter__(self) -> Self:
        """Need nothing."""
        Bench.opened = self
        return self

    def __exit__(self, *_error: object) -> None:
        """Free nothing."""

    opened: "Bench"

    def try_out(self, bug: InjectedFault) -> Trial:
        """Catch everything but `nan-in-one-channel`, and find `seed-ignored`'s pipeline wrong before it is injected."""
        self.tried.append(bug.name)
        if bug.name == "seed-ignored":
            message = "image must be green before seed-ignored is injected"
            raise NotCleanError(message)
        return replace(MISSED if bug.name == "nan-in-one-channel" else STORED, bug=bug)


@pytest.fixture(autouse=True)
def bench(monkeypatch: pytest.MonkeyPatch) -> None:
    """Build no pipeline."""
    monkeypatch.setattr(command, "Workshop", Bench)
    monkeypatch.setattr(recording, "revision_now", lambda: "0123456789")


def test_a_bug_that_nobody_caught_ends_it_with_1(tmp_path: Path) -> None:
    """What was seen is written all the same."""
    page = tmp_path / "page.md"
    page.write_text("<!-- begin: injected faults -->\n<!-- end: injected faults -->\n", encoding="utf-8")
    code = command.main(
        ["--only", "nan-in-one-channel", "--json", str(tmp_path / "seen.json"), "--markdown", str(page)]
    )

    assert code == 1
    assert '"bug": "nan-in-one-channel"' in (tmp_path / "seen.json").read_text(encoding="utf-8")
    assert "0 of 1 (0 %) caught" in page.read_text(encoding="utf-8")
    assert "- measured: 1 at `0123456789`; 0 minutes in all" in page.read_text(encoding="utf-8")


def test_caught_bugs_end_it_with_0() -> None:
    """As a shell wants it."""
    assert command.main(["--only", "heads-reversed"]) == 0


def test_a_bug_that_could_not_be_tried_is_reported_and_ends_it_with_1(capsys: pytest.CaptureFixture[str]) -> None:
    """The others are tried all the same."""
    code = command.main(["--only", "seed-ignored", "--only", "heads-reversed"])

    told = capsys.readouterr()
    assert code == 1
    assert "seed-ignored: NOT TRIED: image must be green before seed-ignored is injected" in told.err
    assert "1 of 1 (100 %) caught" in told.out


def test_a_run_is_taken_up_where_it_stopped(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Bugs with a line are not tried again, and are in the totals; those that are named are tried anew."""
    results = tmp_path / "results.jsonl"
    command.main(["--only", "heads-reversed", "--results", str(results)])
    capsys.readouterr()
    command.main(["--results", str(results)])

    assert "heads-reversed" not in Bench.opened.tried
    assert len(Bench.opened.tried) == len(BUGS) - 1
    assert f"of {len(BUGS) - 1} (99 %) caught" in capsys.readouterr().out

    command.main(["--only", "heads-reversed", "--results", str(results)])

    assert Bench.opened.tried == ["heads-reversed"]
