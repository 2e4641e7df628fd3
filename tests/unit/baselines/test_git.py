"""git runs without a shell, and its errors are reported with its own message."""

from pathlib import Path

import pytest

from pytest_diffopt.baselines.git import GitError, GitMissingError, git_bytes, git_output
from tests.unit.paired.repositories import commit


def test_output_is_stripped_text_or_exact_bytes(tmp_path: Path) -> None:
    """The bytes of a file include its last newline."""
    commit(tmp_path / "project", {"file": "one\n"})

    assert git_output(tmp_path / "project", "log", "--format=%s") == "change"
    assert git_bytes(tmp_path / "project", "cat-file", "blob", "HEAD:file") == b"one\n"


def test_a_git_error_raises(tmp_path: Path) -> None:
    """The error names the command."""
    with pytest.raises(GitError, match=r"^git -C .* log: fatal: .*not a git repository"):
        git_output(tmp_path, "log")


def test_missing_git_raises_its_own_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It needs another fix than an error of git."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(GitMissingError, match=r"^git is not on PATH$"):
        git_output(tmp_path, "log")


def test_variables_of_git_hooks_are_ignored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They would select another repository."""
    commit(tmp_path / "project", {"file": "one"})
    monkeypatch.setenv("GIT_DIR", "/nowhere")

    assert git_output(tmp_path / "project", "log", "--format=%s") == "change"
