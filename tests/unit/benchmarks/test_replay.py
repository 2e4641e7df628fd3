"""Test the replays of real regressions: the table, verdict files, failed replays, installations."""

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Never

import pytest

from benchmarks.history import replay
from benchmarks.history.bugs import BUGS, Bug, ReplayOutcome
from benchmarks.history.environments import PINS, Cache, InstallError
from benchmarks.history.replay import ReplayResult, Row

BUG = Bug(
    name="flux-syncs",
    title="Flux syncs",
    number=11696,
    case="flow_match_syncs",
    expected={"0.33.1": ReplayOutcome.FAILED, "0.34.0": ReplayOutcome.PASSED},
)
EXPECTED = Row(bug=BUG, release="0.33.1", result=ReplayResult(outcome=ReplayOutcome.FAILED, headline="2 times"))
UNEXPECTED = Row(
    bug=BUG,
    release="0.34.0",
    result=ReplayResult(outcome=ReplayOutcome.FAILED, headline="1 time", explanation=("diffopt: 1 time", "  a line")),
)


def fake_pip(monkeypatch: pytest.MonkeyPatch, *, code: int, stderr: str = "") -> list[Sequence[str]]:
    """Make pip exit with a code, and return its commands; the target folder is created."""
    commands: list[Sequence[str]] = []

    def run(command: Sequence[str], **_: Any) -> subprocess.CompletedProcess[str]:
        commands.append(command)
        Path(command[command.index("--target") + 1]).mkdir(parents=True)
        return subprocess.CompletedProcess(command, code, stdout="", stderr=stderr)

    monkeypatch.setattr(subprocess, "run", run)
    return commands


def fake_replay(monkeypatch: pytest.MonkeyPatch, *rows: Row) -> None:
    """Replace the replay by these rows."""
    monkeypatch.setattr(replay, "replay", lambda *_, **__: iter(rows))


def test_every_bug_has_case_and_pins() -> None:
    """Names are unique, cases exist, every release is pinned, and the baseline's release is one of them."""
    cases = Path(replay.__file__).parent / "cases"

    assert len({bug.name for bug in BUGS}) == len(BUGS)
    assert all((cases / f"{bug.case}.py").is_file() for bug in BUGS)
    assert {release for bug in BUGS for release in bug.expected} == set(PINS)
    assert all(bug.accepted_on in bug.expected for bug in BUGS if bug.accepted_on)
    assert {outcome for bug in BUGS for outcome in bug.expected.values()} == {
        ReplayOutcome.FAILED,
        ReplayOutcome.PASSED,
    }


def test_every_pin_is_exact() -> None:
    """Each release runs with that version of diffusers, and every other package has an exact version."""
    assert all(pins[0] == f"diffusers=={release}" for release, pins in PINS.items())
    assert all("==" in pin for pins in PINS.values() for pin in pins)


def test_table_is_aligned_markdown() -> None:
    """Each column is as wide as its widest cell."""
    lines = replay.table([EXPECTED, UNEXPECTED])

    assert lines == [
        "| bug        | release | expected | actual | headline |",
        "| ---------- | ------- | -------- | ------ | -------- |",
        "| Flux syncs | 0.33.1  | failed   | failed | 2 times  |",
        "| Flux syncs | 0.34.0  | passed   | failed | 1 time   |",
    ]


def test_unexpected_outcomes_are_explained() -> None:
    """Each unexpected outcome is listed with the guard's message, followed by the number of expected outcomes."""
    assert replay.problems([EXPECTED, UNEXPECTED]) == [
        "",
        "flux-syncs on 0.34.0: expected passed, got failed",
        "1 time",
        "diffopt: 1 time",
        "  a line",
        "",
        "1 of 2 as expected",
    ]


@pytest.mark.parametrize(
    ("verdict", "outcome"),
    [
        ("passed", ReplayOutcome.PASSED),
        ("regressed", ReplayOutcome.FAILED),
        ("missing", ReplayOutcome.FAILED),
        ("incomparable", ReplayOutcome.UNPROVEN),
        ("inconclusive", ReplayOutcome.UNPROVEN),
    ],
)
def test_verdict_determines_outcome(verdict: str, outcome: ReplayOutcome) -> None:
    """A verdict that fails a test is failed, one that passes is passed, and all others are unproven."""
    text = json.dumps({"outcome": verdict, "summary": "2 syncs", "explanation": ["diffopt: 2 syncs"], "figures": {}})

    result = replay.read_verdict(text)

    assert (result.outcome, result.headline) == (outcome, "2 syncs")


def test_headline_of_passed_verdict_is_its_summary() -> None:
    """A passed verdict has no explanation, so the summary is the headline."""
    text = json.dumps({"outcome": "passed", "summary": "0 syncs", "explanation": [], "figures": {"syncs": 0}})

    assert replay.read_verdict(text) == ReplayResult(
        outcome=ReplayOutcome.PASSED, headline="0 syncs", figures={"syncs": 0}
    )


@pytest.mark.parametrize(
    ("code", "output", "headline"),
    [
        (1, "Traceback\nImportError: no x\n", "exit code 1: ImportError: no x"),
        (-9, "", "killed by signal 9: no output"),
    ],
)
def test_crash_has_exit_code_and_last_line(code: int, output: str, headline: str) -> None:
    """A case without a verdict is crashed, neither passed nor failed."""
    result = replay.crashed(code, output)

    assert (result.outcome, result.headline) == (ReplayOutcome.CRASHED, headline)


def test_crash_keeps_the_last_lines() -> None:
    """Only the end of a long output is kept."""
    result = replay.crashed(1, "\n".join(map(str, range(100))))

    assert result.output.splitlines()[0] == "85"


def test_time_limit_is_reported(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A case that exceeds the time limit is timed out, with its output."""

    def run(command: Sequence[str], **_: Any) -> Never:
        raise subprocess.TimeoutExpired(command, 7, output=b"compiling\n")

    monkeypatch.setattr(subprocess, "run", run)
    monkeypatch.setattr(Cache, "layers", lambda *_: ())

    rows = list(replay.replay([BUG], Cache(folder=tmp_path, progress=print), limit_s=7))

    assert [row.result for row in rows] == 2 * [
        ReplayResult(outcome=ReplayOutcome.TIMED_OUT, headline="not finished after 7 s", output="compiling")
    ]


def test_unknown_bug_is_refused() -> None:
    """The message lists the known bugs."""
    with pytest.raises(argparse.ArgumentTypeError, match=r"unknown bug 'flux'; known: flux-syncs, z-image-"):
        replay.find_bug("flux")


@pytest.mark.parametrize(("rows", "code"), [((EXPECTED,), 0), ((EXPECTED, UNEXPECTED), 1)])
def test_exit_code(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, rows: tuple[Row, ...], code: int) -> None:
    """One unexpected outcome gives exit code 1, and the JSON file contains every row."""
    fake_replay(monkeypatch, *rows)

    assert replay.main(["--json", str(tmp_path / "seen.json")]) == code

    documents = json.loads((tmp_path / "seen.json").read_text(encoding="utf-8"))
    assert [document["actual"] for document in documents] == [row.result.outcome for row in rows]
    assert documents[0]["link"] == "https://github.com/huggingface/diffusers/pull/11696"


def test_installed_package_is_reused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Each package is installed once, without its dependencies, into a folder that is renamed afterwards."""
    commands = fake_pip(monkeypatch, code=0)
    lines: list[str] = []
    cache = Cache(folder=tmp_path, progress=lines.append)

    layers = cache.layers("0.42.1")

    assert cache.layers("0.42.1") == layers == (tmp_path / "diffusers-0.42.1" / "site-packages",)
    assert layers[0].is_dir()
    assert [command[:3] for command in commands] == [[sys.executable, "-m", "pip"]]
    assert "--no-deps" in commands[0]
    assert lines == ["installing diffusers==0.42.1 ..."]


def test_failed_installation_leaves_no_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The message has pip's error, and the next run installs again."""
    fake_pip(monkeypatch, code=1, stderr="WARNING: slow\nERROR: No matching distribution found for diffusers==0.42.1")
    cache = Cache(folder=tmp_path, progress=print)

    message = "pip cannot install diffusers==0.42.1: ERROR: No matching distribution found for diffusers==0.42.1"
    with pytest.raises(InstallError, match=f"^{message}$"):
        cache.layers("0.42.1")

    assert not (tmp_path / "diffusers-0.42.1" / "site-packages").exists()


def test_release_that_cannot_be_installed_is_reported(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The outcome is not installed, and the other rows are still replayed."""

    def layers(_: Cache, release: str) -> Never:
        message = f"pip cannot install {release}"
        raise InstallError(message)

    monkeypatch.setattr(Cache, "layers", layers)

    rows = list(replay.replay([BUG], Cache(folder=tmp_path, progress=print), limit_s=1))

    assert [row.result for row in rows] == [
        ReplayResult(outcome=ReplayOutcome.NOT_INSTALLED, headline=f"pip cannot install {release}")
        for release in BUG.expected
    ]
