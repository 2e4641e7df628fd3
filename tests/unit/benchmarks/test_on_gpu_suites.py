"""Test the GPU commands that run the regression suite; no suite runs."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from benchmarks.on_gpu import __main__ as on_gpu
from benchmarks.on_gpu.commands import COMMANDS
from benchmarks.on_gpu.setting import Setting

GPU = {"device": "NVIDIA H200", "versions": {"torch": "2.11.0", "cuda": "13.0"}}
MEASURED = Setting(is_rehearsal=False, reports=Path("reports"))


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
