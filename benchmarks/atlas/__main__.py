"""Measure every pipeline that diffusers' own fast tests build, and write the atlas.

python -m benchmarks.atlas --diffusers ../diffusers --lines atlas.jsonl --json atlas.json

Each pipeline has the tiny, random weights of diffusers' tests. The tests need `pip install parameterized requests-mock
ftfy`; some pipelines need sentencepiece, opencv-python-headless or torchvision. An interrupted run continues where its
--lines file ends, or with --continued where an earlier atlas of the same checkout ends. Nothing is fetched. The exit
code is 1 if a pipeline crashes the process.
"""

import argparse
import datetime as dt
import sys
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib import metadata
from pathlib import Path

import msgspec

from benchmarks.atlas import entries
from benchmarks.atlas.difference import read_atlas
from benchmarks.atlas.entries import SCHEMA_VERSION, Atlas, Entry
from benchmarks.atlas.headline import shares
from benchmarks.diffusers_tests.results import Outcome, rewrite
from benchmarks.diffusers_tests.supervising import commit_of, expected_groups, run_worker, version_of

_ROOT = Path(__file__).parents[2]
_PACKAGES = ("accelerate", "diffusers", "torch", "transformers")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line."""
    options = _parsed(arguments)
    checkout: Path = options.diffusers.resolve()
    expected = expected_groups(options.only, checkout)
    lines: Path = options.lines
    lines.parent.mkdir(parents=True, exist_ok=True)
    if options.continued:
        _continue(options.continued, checkout, lines)
    while not options.so_far and (left := _left(lines, expected)):
        with ThreadPoolExecutor(options.jobs) as jobs:
            list(jobs.map(_Job(checkout, lines).run, _shares(left, options.jobs)))
    atlas = _atlas(checkout, lines, expected)
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_bytes(msgspec.json.format(msgspec.json.encode(atlas), indent=1) + b"\n")
    print(*shares(atlas), sep="\n")
    return any(entry.outcome is Outcome.CRASHED for entry in atlas.entries)


def _parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.atlas", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--diffusers", type=Path, required=True, metavar="DIR", help="a checkout of diffusers")
    parser.add_argument("--lines", type=Path, default=Path("atlas.jsonl"), metavar="FILE", help="a line a pipeline")
    parser.add_argument("--json", type=Path, default=Path("atlas.json"), metavar="FILE", help="the whole atlas")
    parser.add_argument("--only", nargs="+", default=[], metavar="GROUP", help="test folders, such as flux")
    parser.add_argument(
        "--so-far", action="store_true", help="write the atlas of the lines as they are, measure nothing"
    )
    parser.add_argument("--continued", type=Path, metavar="FILE", help="an atlas that is not complete")
    parser.add_argument("--jobs", type=int, default=2, metavar="N", help="processes at once (default: %(default)s)")
    return parser.parse_args(arguments)


def _continue(file: Path, checkout: Path, lines: Path) -> None:
    """Write the lines of an atlas whose groups that are left are to be measured.

    Raises:
        SystemExit: there are lines already, or the atlas is of another checkout.
    """
    atlas, tests = read_atlas(file), _tests_of(checkout)
    if lines.exists():
        message = f"--continued {file} would replace {lines}, which exists: remove one of the two"
        raise SystemExit(message)
    if atlas.tests != tests:
        message = f"--continued {file} is of diffusers {atlas.tests}, but --diffusers is {tests}"
        raise SystemExit(message)
    done = {entry.group for entry in atlas.entries} - set(atlas.left)
    rewrite(lines, atlas.entries, done)


def _left(lines: Path, expected: Sequence[str]) -> list[str]:
    """Return the groups that are not complete, after removing the incomplete last line of an interrupted run."""
    found, done = entries.read(lines)
    rewrite(lines, found, done)
    return [group for group in expected if group not in done]


def _shares(groups: Sequence[str], jobs: int) -> list[Sequence[str]]:
    """Return the groups of each worker: to import diffusers takes longer than to measure a pipeline."""
    return [share for job in range(jobs) if (share := groups[job::jobs])]


class _Job:
    """Runs workers whose lines go to one file."""

    def __init__(self, checkout: Path, lines: Path) -> None:
        self._checkout = checkout
        self._lines = lines
        self._lock = threading.Lock()

    def run(self, groups: Sequence[str]) -> None:
        """Run groups until their worker ends; if it dies, the pipeline that it was measuring is a crashed entry."""
        skipped = [entry.name for entry in entries.read(self._lines)[0] if entry.group in groups]
        worker = ["-m", "benchmarks.atlas.worker", str(self._checkout), "--skip", *skipped, "--groups", *groups]
        run_worker(worker, Entry, self._append)

    def _append(self, line: bytes) -> None:
        with self._lock, self._lines.open("ab") as file:
            file.write(line)


def _atlas(checkout: Path, lines: Path, expected: Sequence[str]) -> Atlas:
    found, done = entries.read(lines)
    return Atlas(
        schema_version=SCHEMA_VERSION,
        date=dt.datetime.now(tz=dt.UTC).date(),
        versions={name: metadata.version(name).partition("+")[0] for name in _PACKAGES},
        tests=_tests_of(checkout),
        entries=tuple(sorted((entry for entry in found if entry.group in expected), key=lambda entry: entry.name)),
        left=tuple(group for group in expected if group not in done),
    )


def _tests_of(checkout: Path) -> str:
    return f"{version_of(checkout) or 'unknown'} {commit_of(checkout)}".strip()


if __name__ == "__main__":
    sys.exit(main())
