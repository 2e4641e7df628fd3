"""Test the pytest sessions of the GPU command `paired`: repositories, reports, results."""

import json
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import pytest

from benchmarks.on_gpu.gate_sessions import GateSessionError, commit, ending, run_session
from tests.unit.paired.repositories import git


def report(outcome: str, *explanation: str, summary: str = "221 ms") -> dict[str, Any]:
    """Return a report of one verdict."""
    verdict = {"outcome": outcome, "explanation": list(explanation), "summary": summary}
    return {"verdicts": [{"nodeid": "test_it.py::test_latency", "verdict": verdict}], "broken": []}


@pytest.mark.parametrize(
    ("exit_code", "document", "result", "explanation"),
    [
        (0, report("passed"), "exit code 0, passed", ("221 ms",)),
        (
            1,
            report("regressed", "diffopt: it became slower", "  no count changed: the same operations"),
            "exit code 1, regressed, with its cause",
            ("it became slower", "  no count changed: the same operations"),
        ),
        (
            1,
            report("regressed", "diffopt: it became slower", "  counts that changed, on the simulated GPU:"),
            "exit code 1, regressed, with its cause",
            ("it became slower", "  counts that changed, on the simulated GPU:"),
        ),
        (
            1,
            report("regressed", "diffopt: it became slower", "  not counted: no"),
            "exit code 1, regressed",
            ("it became slower", "  not counted: no"),
        ),
        (
            1,
            {"verdicts": [], "broken": [{"nodeid": "test_it.py", "reason": "ImportError: no"}]},
            "exit code 1, broken",
            ("test_it.py: ImportError: no",),
        ),
        (5, {"verdicts": [], "broken": []}, "exit code 5, no verdict", ()),
    ],
    ids=["passed", "same-counts", "other-counts", "not-counted", "broken", "no-verdict"],
)
def test_session_result_is_read_from_report(
    exit_code: int, document: Mapping[str, Any], result: str, explanation: Sequence[str]
) -> None:
    """The result has exit code, outcome, whether the cause is known, and the gate's message."""
    ended = ending(exit_code, document)

    assert str(ended) == result
    assert ended.explanation == tuple(explanation)


@dataclass
class FakePytest:
    """A process that writes a report and exits."""

    writes: str
    lines: list[list[str]] = field(default_factory=list)

    def start(self, line: list[str], *, cwd: Path) -> Self:
        """Start the process."""
        assert cwd == Path("project")
        self.lines.append(line)
        folder = Path(line[5].removeprefix("--diffopt-report="))
        assert not folder.exists()
        if self.writes:
            folder.mkdir()
            (folder / "report.json").write_text(self.writes, encoding="utf-8")
        return self

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None: ...

    def wait(self) -> int:
        """Return the exit code."""
        return 2


def test_report_of_earlier_session_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An existing report is removed first; a session without a report is an error."""
    started = FakePytest(writes=json.dumps(report("passed")))
    monkeypatch.setattr(subprocess, "Popen", started.start)
    run_session(Path("project"), ("--gpu",), report=tmp_path / "report")
    started.writes = ""

    with pytest.raises(GateSessionError) as error:
        run_session(Path("project"), ("--gpu",), report=tmp_path / "report")

    assert str(error.value) == "pytest exited with code 2 and wrote no report; see log.txt"
    assert [line[2:4] + line[6:] for line in started.lines] == [["pytest", "-p", "--gpu"]] * 2


def test_commits_of_the_same_code_are_distinct(tmp_path: Path) -> None:
    """HEAD~1 exists, everything is committed, and the project has its own ini file."""
    for _ in range(2):
        commit(tmp_path, {"product.py": "SLOWDOWN = 0.0\n"})

    assert git(tmp_path, "rev-list", "--count", "HEAD") == "2"
    assert git(tmp_path, "status", "--porcelain") == ""
    assert (tmp_path / "pytest.ini").exists()
