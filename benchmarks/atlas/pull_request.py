"""Measure the pipelines that a change of diffusers touches, before and after, and write what changed as a comment.

python -m benchmarks.atlas.pull_request --diffusers ../diffusers --against origin/main --comment comment.md

The change is what the checked-out commit has on top of its merge base with --against. The pipelines are those whose
tests in tests/pipelines import a changed module, directly or through one other module; the nearest come first, until
--minutes have passed. Both sides run in their own working trees with the packages of this environment. The exit code is
1 if a figure became worse.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec

from benchmarks.atlas.comment import Compared, comment
from benchmarks.atlas.difference import Direction
from benchmarks.atlas.entries import Entry
from benchmarks.atlas.touched import TouchedFile, touched_files
from benchmarks.diffusers_tests.cases import files
from benchmarks.diffusers_tests.results import Done, parsed
from benchmarks.diffusers_tests.supervising import check_requirements, run_worker
from pytest_diffopt.baselines.git import GitError, git_output


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line."""
    options = _parsed(arguments)
    checkout: Path = options.diffusers.resolve()
    check_requirements(checkout)
    try:
        head = git_output(checkout, "rev-parse", "HEAD")
        base = git_output(checkout, "merge-base", options.against, "HEAD")
        changed = git_output(checkout, "diff", "--name-only", base, head).splitlines()
        compared = _compare(checkout, (base, head), changed, options)
    except GitError as error:
        raise SystemExit(str(error)) from error
    text = comment(compared)
    print(text)
    if options.comment:
        options.comment.write_text(text + "\n", encoding="utf-8")
    if options.json:
        options.json.write_bytes(msgspec.json.encode(compared) + b"\n")
    return any(one.direction is Direction.WORSE for one in compared.changes)


def _parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.atlas.pull_request",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--diffusers", type=Path, required=True, metavar="DIR", help="a clone of diffusers")
    parser.add_argument("--against", required=True, metavar="REVISION", help="what the change is compared with")
    parser.add_argument("--comment", type=Path, metavar="FILE", help="write the comment, in Markdown")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write both sides, for benchmarks.atlas.comment")
    parser.add_argument("--minutes", type=float, default=8, metavar="N", help="time to measure (default: %(default)s)")
    parser.add_argument(
        "--distance",
        type=int,
        default=2,
        metavar="N",
        help="most imports from a test to a change (default: %(default)s)",
    )
    return parser.parse_args(arguments)


def _compare(
    checkout: Path, revisions: tuple[str, str], changed: Sequence[str], options: argparse.Namespace
) -> Compared:
    with _worktrees(checkout, revisions) as (before, after):
        touched = touched_files(after, changed, farthest=options.distance)
        until = time.monotonic() + 60 * options.minutes
        sides = [_Side(tree, touched, until) for tree in (before, after)]
        with ThreadPoolExecutor(len(sides)) as both:
            found = list(both.map(_Side.entries, sides))
        new = [one.name for one in touched if one not in sides[0].present]
    return Compared(
        revisions=revisions,
        touched=tuple(one.name for one in touched),
        new=tuple(new),
        before=tuple(found[0]),
        after=tuple(found[1]),
    )


@contextmanager
def _worktrees(checkout: Path, revisions: Sequence[str]) -> Iterator[Sequence[Path]]:
    """Check out each revision into a temporary folder; the checkout itself stays as it is."""
    with tempfile.TemporaryDirectory(prefix="diffopt-") as folder:
        trees = [Path(folder, f"{number}-{revision[:12]}") for number, revision in enumerate(revisions)]
        try:
            for tree, revision in zip(trees, revisions, strict=True):
                git_output(checkout, "worktree", "add", "--detach", str(tree), revision)
            yield trees
        finally:
            for tree in trees:
                if tree.exists():
                    git_output(checkout, "worktree", "remove", "--force", str(tree))


@dataclass(frozen=True, slots=True)
class _Side:
    """One revision, whose touched files are measured until a time is reached."""

    tree: Path
    touched: Sequence[TouchedFile]
    until: float

    def entries(self) -> list[Entry]:
        """Measure the touched files of each group, the nearest group first."""
        lines: list[bytes] = []
        ordered = list(dict.fromkeys(one.group for one in self.present))
        touched = {one.name for one in self.present}
        skip = [name for group in ordered for name in self._known(group) if name not in touched]
        command = ["-m", "benchmarks.atlas.worker", str(self.tree), "--skip", *skip, "--groups", *ordered]
        if ordered:
            run_worker(command, Entry, lines.append, source=self.tree / "src", until=self.until)
        found = (parsed(line, Entry) for line in lines)
        return [one for one in found if not isinstance(one, Done)]

    @property
    def present(self) -> list[TouchedFile]:
        """The touched files that this revision has."""
        return [one for one in self.touched if one.name in self._known(one.group)]

    def _known(self, group: str) -> list[str]:
        return [f"{group}/{file.stem}" for file in files(self.tree, group)]


if __name__ == "__main__":
    sys.exit(main())
