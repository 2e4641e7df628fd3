"""Run a gate as a user does: a repository with one test, a pytest session in it, and its outcome."""

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

# The user's git identity, hooks and signing key must not matter.
_GIT = (
    *("-c", "user.name=Somebody", "-c", "user.email=somebody@example.org"),
    *("-c", "commit.gpgsign=false", "-c", "core.hooksPath=/dev/null"),
)
_HEADLINE = "diffopt: "
_CAUSES = ("no count changed", "counts that changed")


class GateSessionError(DiffoptError):
    """A pytest session ended without a usable result of the gate."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Ending:
    """The result of a session with one test.

    Attributes:
        exit_code: exit code of pytest.
        outcome: outcome of the verdict; `broken` or `no verdict` if there is none.
        explanation: message of the gate, starting with the headline; the summary if it passed.
    """

    exit_code: int
    outcome: str
    explanation: tuple[str, ...]

    def __str__(self) -> str:
        """Return a text such as `exit code 1, regressed, with its cause`."""
        cause = ", with its cause" if any(line.strip().startswith(_CAUSES) for line in self.explanation) else ""
        return f"exit code {self.exit_code}, {self.outcome}{cause}"


def commit(folder: Path, files: Mapping[str, str]) -> None:
    """Write files and commit them; the repository is created if it does not exist.

    Raises:
        GitError: git is missing or fails.
    """
    if not (folder / ".git").exists():
        git_output(folder, "init", "--quiet")
    # Without an ini file pytest could use a parent folder as the project's root.
    for name, text in {"pytest.ini": "[pytest]\n", ".gitignore": "__pycache__/\n", **files}.items():
        (folder / name).write_text(text, encoding="utf-8")
    git_output(folder, "add", "--all")
    git_output(folder, *_GIT, "commit", "--quiet", "--allow-empty", "--message", "change")


def run_session(project: Path, options: Sequence[str], *, report: Path) -> Ending:
    """Run a project's test, and return the result of the gate.

    Args:
        project: folder of the project.
        options: options of pytest.
        report: folder for the report; an existing folder is removed.

    Raises:
        GateSessionError: pytest wrote no report.
    """
    shutil.rmtree(report, ignore_errors=True)
    line = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", f"--diffopt-report={report}", *options]
    # If this process is terminated, the context manager waits for pytest, which ends its own children.
    with subprocess.Popen(line, cwd=project) as process:
        exit_code = process.wait()
    try:
        document = json.loads((report / "report.json").read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        msg = f"pytest exited with code {exit_code} and wrote no report; see log.txt"
        raise GateSessionError(msg) from error
    return ending(exit_code, document)


def ending(exit_code: int, report: Mapping[str, Any]) -> Ending:
    """Return the result of the test in a report."""
    verdicts, broken = report["verdicts"], report["broken"]
    if broken or len(verdicts) != 1:
        reasons = tuple(f"{one['nodeid']}: {one['reason']}" for one in broken)
        return Ending(exit_code=exit_code, outcome="broken" if broken else "no verdict", explanation=reasons)
    (verdict,) = (one["verdict"] for one in verdicts)
    first, *more = tuple(verdict["explanation"]) or (verdict["summary"],)
    headline = first.removeprefix(_HEADLINE)
    return Ending(exit_code=exit_code, outcome=verdict["outcome"], explanation=(headline, *more))
