"""The replays of real regressions: the table, what is read, and what is said when a replay fails."""

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Never

import pytest

from benchmarks.history import replay
from benchmarks.history.bugs import BUGS, Bug, Color
from benchmarks.history.environments import PINS, Cache, InstallError
from benchmarks.history.replay import Row, Seen

BUG = Bug(
    name="flux-syncs",
    title="Flux waits",
    number=11696,
    case="flow_match_syncs",
    expected={"0.33.1": Color.RED, "0.34.0": Color.GREEN},
)
RED = Row(bug=BUG, release="0.33.1", seen=Seen(color=Color.RED, said="2 times"))
WRONG = Row(
    bug=BUG, release="0.34.0", seen=Seen(color=Color.RED, said="1 time", explanation=("diffopt: 1 time", "  a line"))
)


def fake_pip(monkeypatch: pytest.MonkeyPatch, *, code: int, stderr: str = "") -> list[Sequence[str]]:
    """Let pip end with a code, and return the commands that it gets; the target folder is made."""
    commands: list[Sequence[str]] = []

    def run(command: Sequence[str], **_: Any) -> subprocess.CompletedProcess[str]:
        commands.append(command)
        Path(command[command.index("--target") + 1]).mkdir(parents=True)
        return subprocess.CompletedProcess(command, code, stdout="", stderr=stderr)

    monkeypatch.setattr(subprocess, "run", run)
    return commands


def fake_replay(monkeypatch: pytest.MonkeyPatch, *rows: Row) -> None:
    """Let these rows be seen."""
    monkeypatch.setattr(replay, "replay", lambda *_, **__: iter(rows))


def test_every_bug_can_be_replayed() -> None:
    """Names are unique, cases exist, every release is pinned, and the baseline's release is one of them."""
    cases = Path(replay.__file__).parent / "cases"

    assert len({bug.name for bug in BUGS}) == len(BUGS)
    assert all((cases / f"{bug.case}.py").is_file() for bug in BUGS)
    assert {release for bug in BUGS for release in bug.expected} == set(PINS)
    assert all(bug.accepted_on in bug.expected for bug in BUGS if bug.accepted_on)
    assert {color for bug in BUGS for color in bug.expected.values()} == {Color.RED, Color.GREEN}


def test_every_pin_is_exact() -> None:
    """Each release is run with diffusers of that version, and every other package has an exact version too."""
    assert all(pins[0] == f"diffusers=={release}" for release, pins in PINS.items())
    assert all("==" in pin for pins in PINS.values() for pin in pins)


def test_table_is_aligned_markdown() -> None:
    """Columns are as wide as their widest cell."""
    lines = replay.table([RED, WRONG])

    assert lines == [
        "| bug        | release | expected | seen | what the guard said |",
        "| ---------- | ------- | -------- | ---- | ------------------- |",
        "| Flux waits | 0.33.1  | red      | red  | 2 times             |",
        "| Flux waits | 0.34.0  | green    | red  | 1 time              |",
    ]


def test_wrong_colors_are_explained() -> None:
    """Below the table stands what differs, with the guard's own words, and how many are right."""
    assert replay.problems([RED, WRONG]) == [
        "",
        "flux-syncs on 0.34.0: green expected, red seen",
        "1 time",
        "diffopt: 1 time",
        "  a line",
        "",
        "1 of 2 as expected",
    ]


@pytest.mark.parametrize(
    ("outcome", "color"),
    [
        ("passed", Color.GREEN),
        ("regressed", Color.RED),
        ("missing", Color.RED),
        ("incomparable", Color.UNPROVEN),
        ("inconclusive", Color.UNPROVEN),
    ],
)
def test_verdict_becomes_a_color(outcome: str, color: Color) -> None:
    """What would turn a test red is red, what passes is green, and what proves nothing is neither."""
    text = json.dumps({"outcome": outcome, "summary": "2 syncs", "explanation": ["diffopt: it waits"], "figures": {}})

    seen = replay.read_verdict(text)

    assert (seen.color, seen.said) == (color, "it waits")


def test_verdict_without_explanation_says_its_summary() -> None:
    """A green verdict explains nothing; its figure is told."""
    text = json.dumps({"outcome": "passed", "summary": "0 syncs", "explanation": [], "figures": {"syncs": 0}})

    assert replay.read_verdict(text) == Seen(color=Color.GREEN, said="0 syncs", figures={"syncs": 0})


@pytest.mark.parametrize(
    ("code", "output", "said"),
    [
        (1, "Traceback\nImportError: no x\n", "exit code 1: ImportError: no x"),
        (-9, "", "killed by signal 9: no output"),
    ],
)
def test_crash_says_how_and_the_last_line(code: int, output: str, said: str) -> None:
    """A case without a verdict is a crash, never a color."""
    seen = replay.crashed(code, output)

    assert (seen.color, seen.said) == (Color.CRASHED, said)


def test_crash_keeps_the_last_lines() -> None:
    """Of a long output the end is kept."""
    seen = replay.crashed(1, "\n".join(map(str, range(100))))

    assert seen.output.splitlines()[0] == "85"


def test_time_limit_is_reported(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A case that is not done in time is named so, with what it printed."""

    def run(command: Sequence[str], **_: Any) -> Never:
        raise subprocess.TimeoutExpired(command, 7, output=b"compiling\n")

    monkeypatch.setattr(subprocess, "run", run)
    monkeypatch.setattr(Cache, "layers", lambda *_: ())

    rows = list(replay.replay([BUG], Cache(folder=tmp_path, progress=print), limit_s=7))

    assert [row.seen for row in rows] == 2 * [
        Seen(color=Color.TIMED_OUT, said="not done after 7 s", output="compiling")
    ]


def test_unknown_bug_is_refused_with_the_known_ones() -> None:
    """`--only` names a bug of the table."""
    with pytest.raises(argparse.ArgumentTypeError, match=r"there is no bug 'flux'; there are: flux-syncs, z-image-"):
        replay.find_bug("flux")


@pytest.mark.parametrize(("rows", "code"), [((RED,), 0), ((RED, WRONG), 1)])
def test_exit_code(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, rows: tuple[Row, ...], code: int) -> None:
    """One wrong color is enough, and the JSON file holds every row."""
    fake_replay(monkeypatch, *rows)

    assert replay.main(["--json", str(tmp_path / "seen.json")]) == code

    documents = json.loads((tmp_path / "seen.json").read_text(encoding="utf-8"))
    assert [document["seen"] for document in documents] == [row.seen.color for row in rows]
    assert documents[0]["link"] == "https://github.com/huggingface/diffusers/pull/11696"


def test_installed_package_is_reused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Each package is installed once, beside its place first, without what it depends on."""
    commands = fake_pip(monkeypatch, code=0)
    told: list[str] = []
    cache = Cache(folder=tmp_path, progress=told.append)

    layers = cache.layers("0.42.1")

    assert cache.layers("0.42.1") == layers == (tmp_path / "diffusers-0.42.1" / "site-packages",)
    assert layers[0].is_dir()
    assert [command[:3] for command in commands] == [[sys.executable, "-m", "pip"]]
    assert "--no-deps" in commands[0]
    assert told == ["installing diffusers==0.42.1 ..."]


def test_failed_installation_leaves_nothing_behind(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What pip says of its error is told, and the next run installs again."""
    fake_pip(monkeypatch, code=1, stderr="WARNING: slow\nERROR: No matching distribution found for diffusers==0.42.1")
    cache = Cache(folder=tmp_path, progress=print)

    message = "pip cannot install diffusers==0.42.1: ERROR: No matching distribution found for diffusers==0.42.1"
    with pytest.raises(InstallError, match=f"^{message}$"):
        cache.layers("0.42.1")

    assert not (tmp_path / "diffusers-0.42.1" / "site-packages").exists()


def test_release_that_cannot_be_installed_is_reported(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The row says so, and the other rows go on."""

    def layers(_: Cache, release: str) -> Never:
        message = f"pip cannot install {release}"
        raise InstallError(message)

    monkeypatch.setattr(Cache, "layers", layers)

    rows = list(replay.replay([BUG], Cache(folder=tmp_path, progress=print), limit_s=1))

    assert [row.seen for row in rows] == [
        Seen(color=Color.NOT_INSTALLED, said=f"pip cannot install {release}") for release in BUG.expected
    ]
