"""Compare the baselines of the working tree with those of the revision from which a branch started."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pytest_diffopt.baselines.git import GitError, GitMissingError, git_bytes, git_output
from pytest_diffopt.baselines.limit_changes import BaselineChange, ChangeKind, compare

_SHORT_REVISION = 9
_SHALLOW = "this shallow clone does not contain the start of the branch: fetch the whole history (fetch-depth: 0)"


@dataclass(frozen=True, kw_only=True, slots=True)
class BaselineComparison:
    """The changed baselines of a branch.

    Attributes:
        base: the revision to compare with, such as `origin/main (1a2b3c4d5)`.
        changes: the changes, those that weaken the gate most first.
        problem: why nothing could be compared; empty if the comparison succeeded.
    """

    base: str
    changes: tuple[BaselineChange, ...] = ()
    problem: str = ""

    def of_kind(self, kind: ChangeKind) -> list[BaselineChange]:
        """Return the changes of one kind."""
        return [change for change in self.changes if change.kind is kind]


def compare_since(base: str, baselines: Path) -> BaselineComparison:
    """Compare the baselines on disk with those at the merge base of this branch and another.

    Uncommitted changes are included. A comparison that is not possible raises no error; its `problem` is the reason.

    Args:
        base: the other branch, as git names it (`origin/main`).
        baselines: the folder of baselines.
    """
    folder = next(parent for parent in (baselines, *baselines.parents) if parent.is_dir())
    try:
        # The repository of the nearest folder that exists: `baselines` may exist in only one of the two revisions.
        root = Path(git_output(folder, "rev-parse", "--show-toplevel")).resolve()
        commit = _merge_base(root, base)
        changes = list(_changes(root, commit, baselines.resolve().relative_to(root).as_posix()))
    except GitMissingError as error:
        return BaselineComparison(base=base, problem=str(error))
    except GitError as error:
        return BaselineComparison(base=base, problem=_why(folder, base, error))
    ordered = sorted(changes, key=lambda change: (list(ChangeKind).index(change.kind), change.path))
    return BaselineComparison(base=f"{base} ({commit[:_SHORT_REVISION]})", changes=tuple(ordered))


def _merge_base(root: Path, base: str) -> str:
    tip = git_output(root, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{base}^{{commit}}")
    return git_output(root, "merge-base", tip, "HEAD")


def _changes(root: Path, commit: str, folder: str) -> Iterator[BaselineChange]:
    """Yield the change of each file below a folder, from a commit to the working tree."""
    pathspec = f":(top,literal){folder}"
    listed = _names(git_bytes(root, "diff", "--name-only", "--no-renames", "-z", commit, "--", pathspec))
    untracked = _names(git_bytes(root, "ls-files", "--others", "--exclude-standard", "-z", "--", pathspec))
    tree = _names(git_bytes(root, "ls-tree", "-r", "--name-only", "-z", commit, "--", folder))
    for path in sorted(listed | untracked):
        before = git_bytes(root, "cat-file", "blob", f"{commit}:{path}") if path in tree else None
        after = _on_disk(root / path)
        if before != after:
            yield compare(path, before, after)


def _names(listed: bytes) -> set[str]:
    return {name.decode("utf-8", errors="surrogateescape") for name in listed.split(b"\0") if name}


def _on_disk(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


def _why(folder: Path, base: str, error: GitError) -> str:
    try:
        is_shallow = git_output(folder, "rev-parse", "--is-shallow-repository") == "true"
    except GitError:
        return f"{folder} is not in a git repository"
    if is_shallow:
        return _SHALLOW
    try:
        git_output(folder, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{base}^{{commit}}")
    except GitError:
        return f"this repository has no {base}: fetch it first"
    return f"{base} and this branch have no common ancestor: {error}"
