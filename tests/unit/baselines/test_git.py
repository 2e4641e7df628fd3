"""git is asked without a shell, and its refusals are told in its words."""

from pathlib import Path

import pytest

from pytest_diffopt.baselines.git import GitError, GitMissingError, git_bytes, git_output
from tests.unit.paired.repositories import commit


def test_output_is_text_without_blanks_or_bytes_as_they_are(tmp_path: Path) -> None:
    """A file is read to its last byte."""
    commit(tmp_path / "project", {"file": "one\n"})

    assert git_output(tmp_path / "project", "log", "--format=%s") == "change"
    assert git_bytes(tmp_path / "project", "cat-file", "blob", "HEAD:file") == b"one\n"


def test_a_refusal_is_an_error_of_ours(tmp_path: Path) -> None:
    """It names the command."""
    with pytest.raises(GitError, match=r"^git -C .* log: fatal: .*not a git repository"):
        git_output(tmp_path, "log")


def test_no_git_is_reported_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is another thing to fix."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(GitMissingError, match=r"^git is not on the path$"):
        git_output(tmp_path, "log")


def test_variables_of_a_hook_do_not_lead_to_another_repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Git sets them for its hooks."""
    commit(tmp_path / "project", {"file": "one"})
    monkeypatch.setenv("GIT_DIR", "/nowhere")

    assert git_output(tmp_path / "project", "log", "--format=%s") == "change"
