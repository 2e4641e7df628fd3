"""Open a pull request with the baselines that the runners measured.

The commit is made from git's objects alone, without the files of the pull request: none of them is imported, no
symbolic link among them is written through, and no filter or hook runs.
"""

import argparse
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from pytest_diffopt.printable import printable_line
from pytest_diffopt.reports.markdown import text
from pytest_diffopt.reports.workflow_commands import Level, annotation
from tools.github.commands import RefusedError, output_of
from tools.github.measured_files import measured_files

_BOT = {
    f"GIT_{role}_{name}": value
    for role in ("AUTHOR", "COMMITTER")
    for name, value in (
        ("NAME", "github-actions[bot]"),
        ("EMAIL", "41898282+github-actions[bot]@users.noreply.github.com"),
    )
}
_REGULAR_FILE = "100644"
_NOTHING_CHANGED = "the measured figures equal the accepted ones: nothing to propose"


@dataclass(frozen=True, kw_only=True, slots=True)
class Proposal:
    """A pull request with baselines.

    Attributes:
        checkout: the repository, at the commit that was measured.
        base: the base branch.
        branch: the new branch with the baselines.
        link: the URL of the run that measured them.
        reason: why the new figures are right.
    """

    checkout: Path
    base: str
    branch: str
    link: str
    reason: str

    def git(self, *arguments: str, index: str = "") -> str:
        """Run git in the checkout.

        Args:
            *arguments: git's arguments.
            index: the file of the index; empty for the checkout's own.
        """
        environment = _BOT | ({"GIT_INDEX_FILE": index} if index else {})
        return output_of("git", "-C", str(self.checkout), *arguments, environment=environment)


def tree_with(proposal: Proposal, files: Iterable[tuple[Path, str]]) -> str:
    """Write the tree of the checkout's commit with these files, and return its name.

    Each runner sends all baselines of the repository; those that it did not measure are as in the commit.

    Args:
        proposal: the checkout.
        files: the path of each file, and its path in the repository.

    Raises:
        RefusedError: two runners measured one baseline differently, or a path is below what is a file in the commit.
    """
    accepted = _blobs_of_commit(proposal)
    measured: dict[str, str] = {}
    for source, target in files:
        blob = proposal.git("hash-object", "-w", "--no-filters", "--", str(source.resolve()))
        if blob == accepted.get(target):
            continue
        if measured.setdefault(target, blob) != blob:
            msg = f"two runners measured {target} differently: propose the baselines of one at a time"
            raise RefusedError(msg)
    return _tree(proposal, measured)


def _blobs_of_commit(proposal: Proposal) -> dict[str, str]:
    """Return the name of each file's content in the commit, by the file's path."""
    rows = [row.partition("\t") for row in proposal.git("ls-tree", "-r", "-z", "HEAD").split("\0") if row]
    return {path: fields.split()[2] for fields, _, path in rows}


def _tree(proposal: Proposal, blobs: Mapping[str, str]) -> str:
    with TemporaryDirectory() as folder:
        index = str(Path(folder) / "index")
        proposal.git("read-tree", "HEAD", index=index)
        for path, blob in blobs.items():
            proposal.git("update-index", "--add", "--cacheinfo", f"{_REGULAR_FILE},{blob},{path}", index=index)
        return proposal.git("write-tree", index=index)


def changed_paths(proposal: Proposal, tree: str) -> list[str]:
    """Return the paths that differ between the checkout's commit and a tree."""
    names = proposal.git("diff-tree", "-r", "-z", "--name-only", "--no-commit-id", "HEAD", tree)
    return [name for name in names.split("\0") if name]


def propose(proposal: Proposal, tree: str, changed: Sequence[str]) -> str:
    """Commit a tree to the new branch, open a pull request, and return its URL."""
    devices = sorted({path.split("/")[1] for path in changed})
    title = f"Accept baselines measured on {', '.join(devices)}"
    run = f"[The run that measured them, with its reports]({proposal.link})"
    body = f"{text(proposal.reason)}\n\n{len(changed)} files. {run}\n"
    commit = proposal.git("commit-tree", tree, "-p", "HEAD", "-m", f"{title}\n\n{printable_line(proposal.reason)}")
    output_of("gh", "auth", "setup-git")
    proposal.git("push", "--quiet", "origin", f"{commit}:refs/heads/{proposal.branch}")
    arguments = (f"--base={proposal.base}", f"--head={proposal.branch}", f"--title={title}", f"--body={body}")
    return output_of("gh", "pr", "create", *arguments)


def _refuse_forks(base: str) -> None:
    if not base:
        msg = "cannot open a pull request to the branch of a fork: download the baselines from the artifacts"
        raise RefusedError(msg)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("artifacts", type=Path, help="the folder with the artifacts of all runners")
    parser.add_argument("--checkout", type=Path, required=True, help="the repository, at the measured commit")
    parser.add_argument("--base", required=True, help="the base branch of the pull request")
    parser.add_argument("--branch", required=True, help="the head branch of the pull request")
    parser.add_argument("--link", required=True, help="the URL of the run that measured them")
    parser.add_argument("--reason", required=True, help="why the new figures are right")
    return parser.parse_args()


def _url_of_proposal(options: argparse.Namespace) -> str:
    """Open the pull request and return its URL; empty if nothing changed."""
    _refuse_forks(options.base)
    proposal = Proposal(
        checkout=options.checkout,
        base=options.base,
        branch=options.branch,
        link=options.link,
        reason=options.reason,
    )
    tree = tree_with(proposal, list(measured_files(options.artifacts)))
    changed = changed_paths(proposal, tree)
    return propose(proposal, tree, changed) if changed else ""


def main() -> int:
    """Open the pull request, or print why there is none."""
    try:
        url = _url_of_proposal(_options())
    except RefusedError as error:
        sys.stdout.write(f"{annotation(Level.ERROR, str(error))}\n")
        return 1
    sys.stdout.write(f"{printable_line(url) if url else annotation(Level.NOTICE, _NOTHING_CHANGED)}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
