"""Run every tiny pipeline of diffusers' own fast tests on the simulated GPU and on the null GPU; compare their syncs.

python -m benchmarks.generality.syncs --diffusers-tests ../diffusers --folder .generality

On the null GPU torch's own CUDA code synchronizes. It needs a CUDA build of torch, no GPU, and the packages of
diffusers' tests (`pip install parameterized requests-mock ftfy`). The syncs of a whole call are compared line by line.
An interrupted run continues where the files in --folder end. The exit code is 1 if fewer than 98 % are equal.
"""

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from unittest import mock

from benchmarks.agreement_sides import Side
from benchmarks.diffusers_tests.results import read, rewrite
from benchmarks.diffusers_tests.supervising import expected_groups, run_worker
from benchmarks.generality.sync_rows import SyncRow, pairs, report
from pytest_diffopt.null_gpu.launching import environment

_LEAST_SHARE = 0.98


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line."""
    options = _parsed(arguments)
    checkout: Path = options.diffusers_tests.resolve()
    expected = expected_groups(options.only, checkout)
    options.folder.mkdir(parents=True, exist_ok=True)
    variables: Mapping[Side, dict[str, str]] = {
        Side.SIMULATED: dict(os.environ) | {"CUDA_VISIBLE_DEVICES": ""},
        Side.NULL: environment(),
    }
    inputs = {"DIFFUSERS_TEST_DEVICE": "cpu"}  # else some of its tests make their inputs on the GPU, where there is one
    simulated, cuda = (_rows(side, options.folder, checkout, expected, variables[side] | inputs) for side in variables)
    print(*report(simulated, cuda), sep="\n")
    both = pairs(simulated, cuda)
    return 0 if both and sum(not pair.differences for pair in both) >= _LEAST_SHARE * len(both) else 1


def _parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.generality.syncs",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--diffusers-tests", type=Path, required=True, metavar="DIR", help="a checkout of diffusers")
    parser.add_argument("--folder", type=Path, default=Path(".generality"), metavar="DIR", help="folder for the rows")
    parser.add_argument("--only", nargs="+", default=[], metavar="GROUP", help="test folders to run, such as flux")
    return parser.parse_args(arguments)


def _rows(
    side: Side, folder: Path, checkout: Path, expected: Sequence[str], variables: Mapping[str, str]
) -> Sequence[SyncRow]:
    """Run what is left of a side, and return all its rows of the expected groups."""
    path = folder / f"{side}.jsonl"
    found, done = read(path, SyncRow, option="--folder")
    rewrite(path, found, done)
    while left := [group for group in expected if group not in done]:
        skipped = [row.name for row in found if row.group in left]
        command = ["-m", "benchmarks.generality.sync_worker", str(checkout), "--side", side]
        with path.open("ab", buffering=0) as file, mock.patch.dict(os.environ, variables):
            run_worker([*command, "--skip", *skipped, "--groups", *left], SyncRow, file.write)
        print(file=sys.stderr)
        found, done = read(path, SyncRow, option="--folder")
    return [row for row in found if row.group in expected]


if __name__ == "__main__":
    sys.exit(main())
