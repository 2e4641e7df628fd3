"""A revision is checked out beside the working tree, and removed afterwards."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pytest_diffopt.errors import ProbeError
from pytest_diffopt.paired import checkout
from pytest_diffopt.paired.checkout import both_sides, find_revision, work_tree
from tests.unit.paired.repositories import commit, git


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository with two commits of one file."""
    folder = (tmp_path / "project").resolve()
    commit(folder, {"version.py": "one"})
    git(folder, "tag", "release")
    commit(folder, {"version.py": "two"})
    return folder


def work_trees(repository: Path) -> int:
    """Count the git worktrees, including the repository's own."""
    return len(git(repository, "worktree", "list").splitlines())


def test_base_is_the_revision_and_head_the_working_tree(repository: Path) -> None:
    """Uncommitted changes are part of head and of its label; the worktree is removed afterwards."""
    (repository / "version.py").write_text("three")
    revision = find_revision(repository, "release")
    with both_sides(revision, root=repository, is_project=True) as (base, head):
        assert [(side.tree / "version.py").read_text() for side in (base, head)] == ["one", "three"]
        assert base.label == f"release ({revision.commit[:9]})"
        assert head.label.endswith(" with an uncommitted change)")
        assert base.folder == base.tree
        assert head.folder == head.tree == repository
        assert base.import_paths == (base.tree,)
        kept = base.tree

    assert not kept.exists()
    assert work_trees(repository) == 1


def test_import_paths_inside_the_tree_are_mapped(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each side gets the entries inside its tree; those of a virtual environment in the tree are left out."""
    (repository / "src").mkdir()
    environment = repository / ".venv"
    monkeypatch.setattr(sys, "prefix", str(environment))
    monkeypatch.setattr(sys, "path", [str(repository / "plugins"), str(environment / "lib"), "/elsewhere", ""])
    with both_sides(find_revision(repository, "HEAD"), root=repository, is_project=True) as (base, head):
        assert head.import_paths == (repository / "plugins", repository / "src")
        assert base.import_paths == (base.tree / "plugins", base.tree / "src")


def test_two_versions_of_another_package_run_the_same_tests(repository: Path, tmp_path: Path) -> None:
    """Only the import paths differ."""
    with both_sides(find_revision(repository, "release"), root=tmp_path, is_project=False) as (base, head):
        assert base.folder == head.folder == tmp_path
        assert base.import_paths != head.import_paths == (repository,)


def test_unknown_revision_is_refused_with_a_suggestion(repository: Path) -> None:
    """An option of git is not a revision either."""
    with pytest.raises(ProbeError) as error:
        find_revision(repository, "relaese")

    assert str(error.value) == (
        f"--diffopt-against names no revision of {repository}: 'relaese' (did you mean 'release'?)"
    )
    with pytest.raises(ProbeError, match="names no revision"):
        find_revision(repository, "--all")


def test_folder_without_a_repository_is_refused(tmp_path: Path) -> None:
    """The message contains git's own."""
    with pytest.raises(ProbeError, match=r"--diffopt-against needs a git repository: .*not a git repository"):
        find_revision(tmp_path, "HEAD")
    with pytest.raises(ProbeError, match="--diffopt-editable must name a folder, got: "):
        find_revision(tmp_path / "nowhere", "HEAD")


def test_work_tree_is_removed_when_the_block_fails(repository: Path) -> None:
    """Ctrl-C leaves no worktree."""
    with pytest.raises(KeyboardInterrupt), work_tree(find_revision(repository, "HEAD")):
        raise KeyboardInterrupt

    assert work_trees(repository) == 1


def test_work_tree_of_a_killed_process_is_removed_by_the_next_run(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its name contains the process id; the worktree of a running process is kept."""
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    left, living = (tmp_path / f"diffopt-base-{pid}-x" for pid in (gone.pid, os.getpid()))
    for folder in (left, living):
        git(repository, "worktree", "add", "--quiet", "--detach", str(folder), "HEAD")
    checkout.remove_abandoned(repository)

    assert not left.exists()
    assert living.exists()
    assert work_trees(repository) == 2
    monkeypatch.setenv("GIT_DIR", "/nowhere")  # git sets it for its hooks
    checkout.remove_abandoned(repository)
