"""The baselines of the working tree are compared with those at the merge base, or the reason is reported."""

from pathlib import Path

import pytest
from msgspec.structs import replace

from pytest_diffopt.baselines.codec import encode
from pytest_diffopt.baselines.documents import Baseline
from pytest_diffopt.baselines.limit_changes import ChangeKind
from pytest_diffopt.baselines.since_revision import compare_since
from tests.unit.baselines.baseline_examples import latency
from tests.unit.paired.repositories import commit, git

# Names as pytest creates them: brackets are special in git's patterns.
SLOW, GONE, NEW = (f"baselines/cpu/test_sdxl/test_{name}[sdxl-bf16+sdpa].tiny.json" for name in ("slow", "gone", "new"))


def text(document: Baseline) -> str:
    """Return the text of a document's file."""
    return encode(document, file=Path("case.json")).decode()


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with a branch that has two baselines of main, and later commits on main."""
    folder = tmp_path / "project"
    commit(folder, {SLOW: text(latency(1000)), GONE: text(latency(1000)), "other.json": "{}"})
    git(folder, "checkout", "--quiet", "-b", "change")
    git(folder, "checkout", "--quiet", "main")
    commit(folder, {SLOW: text(latency(500)), "baselines/later.json": "{}"})
    git(folder, "checkout", "--quiet", "change")
    return folder


def test_committed_and_uncommitted_changes_are_compared(project: Path) -> None:
    """With the merge base, not with the tip of main; the changes are ordered by severity."""
    (project / GONE).unlink()
    commit(project, {SLOW: text(replace(latency(1000), margin=0.5)), "other.json": "[]"})
    (project / NEW).write_text(text(latency(1)))
    comparison = compare_since("main", project / "baselines")

    assert not comparison.problem
    assert comparison.base == f"main ({git(project, 'merge-base', 'main', 'HEAD')[:9]})"
    assert [(change.kind, change.path) for change in comparison.changes] == [
        (ChangeKind.LOOSENED, SLOW),
        (ChangeKind.REMOVED, GONE),
        (ChangeKind.ADDED, NEW),
    ]


def test_without_changes_nothing_is_listed(project: Path) -> None:
    """Also if a file was changed and restored."""
    commit(project, {SLOW: text(latency(2000))})
    (project / SLOW).write_text(text(latency(1000)))

    assert compare_since("main", project / "baselines").changes == ()


def test_a_missing_folder_has_no_changes(project: Path) -> None:
    """No baseline has been accepted yet."""
    assert compare_since("main", project / "none/yet").changes == ()


def test_a_shallow_clone_is_reported_with_a_hint(project: Path, tmp_path: Path) -> None:
    """actions/checkout creates a shallow clone by default."""
    git(tmp_path, "clone", "--quiet", "--depth=1", "--branch=change", f"file://{project}", "shallow")
    comparison = compare_since("origin/main", tmp_path / "shallow/baselines")

    assert comparison.problem == (
        "this shallow clone does not contain the start of the branch: fetch the whole history (fetch-depth: 0)"
    )
    assert comparison.base == "origin/main"


def test_a_missing_base_is_reported(project: Path) -> None:
    """An option of git is not a branch either."""
    assert compare_since("origin/main", project / "baselines").problem == (
        "this repository has no origin/main: fetch it first"
    )
    assert compare_since("--all", project / "baselines").problem == "this repository has no --all: fetch it first"


def test_a_base_without_a_common_ancestor_is_reported(project: Path) -> None:
    """The message contains the git command, which itself prints nothing."""
    git(project, "checkout", "--quiet", "--orphan", "stranger")
    commit(project, {"a": "b"})

    assert compare_since("main", project / "baselines").problem.startswith(
        "main and this branch have no common ancestor: git -C "
    )


def test_a_folder_outside_of_a_repository_is_reported(tmp_path: Path) -> None:
    """A copy of the files has no history."""
    assert compare_since("main", tmp_path / "baselines").problem == f"{tmp_path} is not in a git repository"


def test_missing_git_is_reported(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A container may have no git."""
    monkeypatch.setenv("PATH", "/nowhere")

    assert compare_since("main", project / "baselines").problem == "git is not on PATH"
