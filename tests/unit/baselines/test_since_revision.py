"""The baselines of the working tree are compared with those where the branch began, or it is said why not."""

from pathlib import Path

import pytest
from msgspec.structs import replace

from pytest_diffopt.baselines.codec import encode
from pytest_diffopt.baselines.documents import Baseline
from pytest_diffopt.baselines.limit_changes import ChangeKind
from pytest_diffopt.baselines.since_revision import compare_since
from tests.unit.baselines.baseline_examples import latency
from tests.unit.paired.repositories import commit, git

# Names as pytest makes them: to git's patterns brackets would mean something.
SLOW, GONE, NEW = (f"baselines/cpu/test_sdxl/test_{name}[sdxl-bf16+sdpa].tiny.json" for name in ("slow", "gone", "new"))


def text(document: Baseline) -> str:
    """Write a document as its file."""
    return encode(document, file=Path("case.json")).decode()


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project whose branch has two baselines of main, and whose main has moved on since."""
    folder = tmp_path / "project"
    commit(folder, {SLOW: text(latency(1000)), GONE: text(latency(1000)), "other.json": "{}"})
    git(folder, "checkout", "--quiet", "-b", "change")
    git(folder, "checkout", "--quiet", "main")
    commit(folder, {SLOW: text(latency(500)), "baselines/later.json": "{}"})
    git(folder, "checkout", "--quiet", "change")
    return folder


def test_what_is_committed_and_what_is_not_is_compared(project: Path) -> None:
    """From where the branch began, not from where main is now; the worst first."""
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


def test_nothing_changed_is_nothing(project: Path) -> None:
    """Also where a file was touched and set back."""
    commit(project, {SLOW: text(latency(2000))})
    (project / SLOW).write_text(text(latency(1000)))

    assert compare_since("main", project / "baselines").changes == ()


def test_a_folder_that_does_not_exist_holds_nothing(project: Path) -> None:
    """The first baselines are yet to come."""
    assert compare_since("main", project / "none/yet").changes == ()


def test_a_shallow_clone_says_how_to_get_the_rest(project: Path, tmp_path: Path) -> None:
    """As actions/checkout makes one, when nobody asks for more."""
    git(tmp_path, "clone", "--quiet", "--depth=1", "--branch=change", f"file://{project}", "shallow")
    comparison = compare_since("origin/main", tmp_path / "shallow/baselines")

    assert comparison.problem == (
        "this is a shallow clone that ends before the change began: fetch the whole history (fetch-depth: 0)"
    )
    assert comparison.base == "origin/main"


def test_a_base_that_is_not_there_is_named(project: Path) -> None:
    """An option of git is no branch either."""
    assert compare_since("origin/main", project / "baselines").problem == (
        "this repository has no origin/main: fetch it first"
    )
    assert compare_since("--all", project / "baselines").problem == "this repository has no --all: fetch it first"


def test_a_base_without_a_common_start_is_named(project: Path) -> None:
    """Git has no words of its own for it."""
    git(project, "checkout", "--quiet", "--orphan", "stranger")
    commit(project, {"a": "b"})

    assert compare_since("main", project / "baselines").problem.startswith(
        "main and this branch have no common start: git -C "
    )


def test_outside_of_a_repository_it_is_reported(tmp_path: Path) -> None:
    """A copy of the files has no history."""
    assert compare_since("main", tmp_path / "baselines").problem == f"{tmp_path} is in no git repository"


def test_without_git_it_is_reported(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A container may lack it."""
    monkeypatch.setenv("PATH", "/nowhere")

    assert compare_since("main", project / "baselines").problem == "git is not on the path"
