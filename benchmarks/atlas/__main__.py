"""Measure every pipeline that diffusers' own fast tests build, and write the atlas.

python -m benchmarks.atlas --diffusers ../diffusers --lines atlas.jsonl --json docs/atlas/atlas.json

Each pipeline has the tiny, random weights of diffusers' tests. The tests need `pip install parameterized requests-mock
ftfy`. An interrupted run continues where its --lines file ends. Nothing is fetched. The exit code is 1 if a pipeline
crashes the process.
"""

import argparse
import sys
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib import metadata
from pathlib import Path

import msgspec

from benchmarks.atlas import entries
from benchmarks.atlas.entries import SCHEMA_VERSION, Atlas, Entry
from benchmarks.diffusers_tests.results import Outcome, rewrite
from benchmarks.diffusers_tests.supervising import expected_groups, run_worker, version_of

_ROOT = Path(__file__).parents[2]
_PACKAGES = ("accelerate", "diffusers", "torch", "transformers")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line."""
    options = _parsed(arguments)
    checkout: Path = options.diffusers.resolve()
    expected = expected_groups(options.only, checkout)
    lines: Path = options.lines
    lines.parent.mkdir(parents=True, exist_ok=True)
    while left := _left(lines, expected):
        with ThreadPoolExecutor(options.jobs) as jobs:
            list(jobs.map(_Job(checkout, lines).run, _shares(left, options.jobs)))
    found = [entry for entry in entries.read(lines)[0] if entry.group in expected]
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_bytes(msgspec.json.format(msgspec.json.encode(_atlas(checkout, found)), indent=1) + b"\n")
    print(*_totals(found), sep="\n")
    return any(entry.outcome is Outcome.CRASHED for entry in found)


def _parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.atlas", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--diffusers", type=Path, required=True, metavar="DIR", help="a checkout of diffusers")
    parser.add_argument("--lines", type=Path, default=Path("atlas.jsonl"), metavar="FILE", help="a line a pipeline")
    parser.add_argument("--json", type=Path, default=Path("atlas.json"), metavar="FILE", help="the whole atlas")
    parser.add_argument("--only", nargs="+", default=[], metavar="GROUP", help="test folders, such as flux")
    parser.add_argument("--jobs", type=int, default=2, metavar="N", help="processes at once (default: %(default)s)")
    return parser.parse_args(arguments)


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


def _atlas(checkout: Path, found: Sequence[Entry]) -> Atlas:
    return Atlas(
        schema_version=SCHEMA_VERSION,
        versions={name: metadata.version(name).partition("+")[0] for name in _PACKAGES},
        tests=version_of(checkout) or "unknown",
        entries=tuple(sorted(found, key=lambda entry: entry.name)),
    )


def _totals(found: Sequence[Entry]) -> Iterator[str]:
    measured = [entry for entry in found if entry.outcome is Outcome.RAN]
    built = [entry for entry in found if entry.outcome is not Outcome.NOT_BUILT]
    loops = [entry.loop for entry in measured if entry.loop is not None]
    denoisers = [one for entry in measured for one in entry.denoisers or ()]
    memories = [entry.memory for entry in measured if entry.memory is not None]
    yield f"{len(measured)} of {len(built)} pipelines measured; {len(found) - len(built)} more could not be built"
    yield f"{sum(one.syncs_per_later_step > 0 for one in loops)} of {len(loops)} loops synchronize in later steps"
    yield f"{sum(not one.is_whole for one in denoisers)} of {len(denoisers)} denoisers do not compile to one graph"
    again = [one for one in denoisers if any(not each.changes_shape for each in one.recompiles)]
    yield f"{len(again)} of {len(denoisers)} denoisers recompile for a call of the same shape"
    yield f"{sum(one.growth_bytes > 0 for one in memories)} of {len(memories)} keep memory between calls"


if __name__ == "__main__":
    sys.exit(main())
