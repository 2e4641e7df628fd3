"""A gate as a user meets it: a repository with one test, a session of pytest in it, and how that ended."""

import json
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pytest_diffopt.baselines.git import git_output
from pytest_diffopt.errors import DiffoptError

# Whoever runs this has an identity, hooks and a signing key of their own, or none.
_GIT = (
    *("-c", "user.name=Somebody", "-c", "user.email=somebody@example.org"),
    *("-c", "commit.gpgsign=false", "-c", "core.hooksPath=/dev/null"),
)
_HEADLINE = "diffopt: "
_CAUSES = ("no count changed", "counts that changed")


class GateSessionError(DiffoptError):
    """A session of pytest told nothing of the gate."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Ending:
    """How a session of one test ended.

    Attributes:
        exit_code: pytest's.
        outcome: of the one verdict; what happened in its place where there is none.
        explanation: what the gate told, its headline first; where it passed, its figure.
    """

    exit_code: int
    outcome: str
    explanation: tuple[str, ...]

    def __str__(self) -> str:
        """Read as `exit code 1, regressed, with its cause`."""
        cause = ", with its cause" if any(line.strip().startswith(_CAUSES) for line in self.explanation) else ""
        return f"exit code {self.exit_code}, {self.outcome}{cause}"


def commit(folder: Path, files: Mapping[str, str]) -> None:
    """Write files and commit them, in a new repository where there is none.

    Raises:
        GitError: git is missing, or refuses.
    """
    if not (folder / ".git").exists():
        git_output(folder, "init", "--quiet")
    # An ini file of its own: without one a folder above would be taken for the project's root.
    for name, text in {"pytest.ini": "[pytest]\n", ".gitignore": "__pycache__/\n", **files}.items():
        (folder / name).write_text(text, encoding="utf-8")
    git_output(folder, "add", "--all")
    git_output(folder, *_GIT, "commit", "--quiet", "--allow-empty", "--message", "change")


def run_session(project: Path, options: Sequence[str], *, report: Path) -> Ending:
    """Run a project's test, and read how the gate judged it.

    Args:
        project: its folder.
        options: pytest's.
        report: the folder of its report; what is there goes.

    Raises:
        GateSessionError: it ended without a report.
    """
    shutil.rmtree(report, ignore_errors=True)
    line = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", f"--diffopt-report={report}", *options]
    # When this process is asked to end, pytest is too, and is waited for: it takes away what it started.
    with subprocess.Popen(line, cwd=project) as process:
        exit_code = process.wait()
    try:
        document = json.loads((report / "report.json").read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        msg = f"pytest ended with {exit_code} and wrote no report; log.txt says why"
        raise GateSessionError(msg) from error
    return ending(exit_code, document)


def ending(exit_code: int, report: Mapping[str, Any]) -> Ending:
    """Read from a report how its one test ended."""
    verdicts, broken = report["verdicts"], report["broken"]
    if broken or len(verdicts) != 1:
        told = tuple(f"{one['nodeid']}: {one['reason']}" for one in broken)
        return Ending(exit_code=exit_code, outcome="broken" if broken else "no verdict", explanation=told)
    (verdict,) = (one["verdict"] for one in verdicts)
    told = tuple(verdict["explanation"]) or (verdict["summary"],)
    headline = told[0].removeprefix(_HEADLINE)
    return Ending(exit_code=exit_code, outcome=verdict["outcome"], explanation=(headline, *told[1:]))
