"""Check out both sides of a comparison: the working tree as it is, and a revision in a temporary git worktree."""

import os
import shutil
import sys
import sysconfig
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pytest_diffopt.baselines.git import GitError, GitMissingError, git_output
from pytest_diffopt.errors import ProbeError, did_you_mean

_TEMPORARY_PREFIX = "diffopt-base-"
_SHORT_REVISION = 9


@dataclass(frozen=True, kw_only=True, slots=True)
class Side:
    """One version of the code, and how a process imports it.

    Attributes:
        label: its name in messages, such as `HEAD~1 (1a2b3c4d5)`.
        tree: the root of its files.
        folder: the folder in which its pytest runs.
        import_paths: the first entries of its import path.
    """

    label: str
    tree: Path
    folder: Path
    import_paths: tuple[Path, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Revision:
    """A commit.

    Attributes:
        repository: the root of its repository.
        name: the name that the user gave.
        commit: its full hash.
    """

    repository: Path
    name: str
    commit: str

    @property
    def label(self) -> str:
        """The name and the short hash, such as `origin/main (1a2b3c4d5)`."""
        return f"{self.name} ({self.commit[:_SHORT_REVISION]})"


def find_revision(folder: Path, name: str) -> Revision:
    """Find a revision in the repository that contains a folder.

    Raises:
        ProbeError: git is missing, the folder is not in a repository, or the repository has no such revision.
    """
    if not folder.is_dir():
        msg = f"--diffopt-editable must name a folder, got: {folder}"
        raise ProbeError(msg)
    repository = Path(_git(folder, "rev-parse", "--show-toplevel", why="--diffopt-against needs a git repository"))
    try:
        commit = _git(repository, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}")
    except ProbeError:
        known = _git(repository, "for-each-ref", "--format=%(refname:short)").splitlines()
        msg = f"--diffopt-against names no revision of {repository}: {name!r}{did_you_mean(name, known)}"
        raise ProbeError(msg) from None
    return Revision(repository=repository, name=name, commit=commit)


@contextmanager
def both_sides(revision: Revision, *, root: Path, is_project: bool) -> Iterator[tuple[Side, Side]]:
    """Check out base beside head while the block runs.

    Head is the working tree as it is, uncommitted changes included. Base is the revision in a temporary git worktree.

    Args:
        revision: the revision of base.
        root: pytest's root folder.
        is_project: whether the revision belongs to the project under test. If so, base runs its own tests. Otherwise
            both sides run the tests of `root` with two versions of another package.

    Yields:
        Base and head.
    """
    head_tree = revision.repository
    with work_tree(revision) as base_tree:
        head_paths = _import_paths(head_tree)
        base_paths = tuple(base_tree / path.relative_to(head_tree) for path in head_paths)
        base_folder = base_tree / root.relative_to(head_tree) if is_project else root
        base = Side(label=revision.label, tree=base_tree, folder=base_folder, import_paths=base_paths)
        yield base, Side(label=_head_label(head_tree), tree=head_tree, folder=root, import_paths=head_paths)


@contextmanager
def same_code_twice(root: Path) -> Iterator[tuple[Side, Side]]:
    """Compare the code of a folder with itself.

    Yields:
        Two sides that differ only in their labels.
    """
    names = ("one process", "another process of the same code")
    one, other = (Side(label=name, tree=root, folder=root, import_paths=_import_paths(root)) for name in names)
    yield one, other


@contextmanager
def work_tree(revision: Revision) -> Iterator[Path]:
    """Check a revision out into a temporary folder, and remove the folder at the end.

    Raises:
        ProbeError: git cannot check it out.
    """
    remove_abandoned(revision.repository)
    # The name contains the process id, so that the next run finds and removes what a killed process left behind.
    folder = Path(tempfile.mkdtemp(prefix=f"{_TEMPORARY_PREFIX}{os.getpid()}-")).resolve()
    try:
        _git(revision.repository, "worktree", "add", "--detach", "--force", str(folder), revision.commit)
        yield folder
    finally:
        _remove(revision.repository, folder)


def remove_abandoned(repository: Path) -> None:
    """Remove the temporary git worktrees of processes that no longer run."""
    lines = _git(repository, "worktree", "list", "--porcelain").splitlines()
    for folder in (Path(line.removeprefix("worktree ")) for line in lines if line.startswith("worktree ")):
        owner = folder.name.removeprefix(_TEMPORARY_PREFIX).partition("-")[0]
        if folder.name.startswith(_TEMPORARY_PREFIX) and owner.isdigit() and not _is_alive(int(owner)):
            _remove(repository, folder)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _remove(repository: Path, folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    _git(repository, "worktree", "prune")


def _import_paths(tree: Path) -> tuple[Path, ...]:
    """Return the entries of this process's import path that are inside a tree: the package under test.

    `src`, or the root of the tree without one, is always added: an editable install can map names without a path entry.
    """
    environment = Path(sysconfig.get_paths()["purelib"])
    found = [Path(entry).resolve() for entry in sys.path if entry]
    inside = [path for path in found if path.is_relative_to(tree) and not _is_installed(path, environment)]
    source = tree / "src"
    return tuple(dict.fromkeys([*inside, source if source.is_dir() else tree]))


def _is_installed(path: Path, environment: Path) -> bool:
    """Return whether a path belongs to a virtual environment, which may be inside the tree (`.venv`)."""
    return path.is_relative_to(environment) or path.is_relative_to(Path(sys.prefix))


def _head_label(tree: Path) -> str:
    commit = _git(tree, "rev-parse", "HEAD")[:_SHORT_REVISION]
    changed = len(_git(tree, "status", "--porcelain").splitlines())
    dirty = f" with {changed} uncommitted changes" if changed > 1 else " with an uncommitted change" if changed else ""
    return f"the working tree ({commit}{dirty})"


def _git(folder: Path, *arguments: str, why: str = "git failed") -> str:
    try:
        return git_output(folder, *arguments)
    except GitMissingError as error:
        msg = f"--diffopt-against needs git: {error}"
        raise ProbeError(msg) from error
    except GitError as error:
        msg = f"{why}: {error}"
        raise ProbeError(msg) from error
