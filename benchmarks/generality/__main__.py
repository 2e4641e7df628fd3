"""Run every tiny pipeline of diffusers' own fast tests on the CPU and on the simulated GPU, and compare.

python -m benchmarks.generality --diffusers-tests ../diffusers --json generality.json

The checkout of diffusers' repository must be of the installed release; its tests need
`pip install parameterized requests-mock ftfy`. The simulated GPU keeps the values of all tensors. CPU time is compared,
because other processes on the machine affect wall-clock time. An interrupted run continues where its --json file ends.
The exit code is 1 if a pipeline fails or differs, or if a limit is exceeded.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.diffusers_tests.results import rewrite
from benchmarks.diffusers_tests.supervising import expected_groups, run_worker
from benchmarks.generality import rows
from benchmarks.generality.rows import Row


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line."""
    options = _parsed(arguments)
    checkout: Path = options.diffusers_tests.resolve()
    expected = expected_groups(options.only, checkout)
    file: Path = options.json
    found, done = rows.read(file)
    rewrite(file, found, done)
    while left := [group for group in expected if group not in done]:
        skipped = [row.name for row in found if row.group in left]
        _run(options, ["--skip", *skipped, "--groups", *left])
        found, done = rows.read(file)
    shown = [row for row in found if row.group in expected]
    print(*rows.table(shown), *rows.totals(shown), sep="\n")
    return 0 if rows.passes(shown) else 1


def _parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.generality",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--diffusers-tests", type=Path, required=True, metavar="DIR", help="a checkout of diffusers")
    parser.add_argument("--json", type=Path, default=Path("generality.json"), metavar="FILE", help="file for the rows")
    parser.add_argument("--only", nargs="+", default=[], metavar="GROUP", help="test folders to run, such as flux")
    parser.add_argument("--rounds", type=int, default=1, help="runs of each pipeline on each side")
    parser.add_argument(
        "--attention",
        choices=("any", "math"),
        default="any",
        help="math: use only the math backend of scaled_dot_product_attention",
    )
    return parser.parse_args(arguments)


def _run(options: argparse.Namespace, work: Sequence[str]) -> None:
    """Run groups in a worker until it ends."""
    command = ["-m", "benchmarks.generality.worker", str(options.diffusers_tests.resolve())]
    command += ["--rounds", str(options.rounds), "--attention", options.attention, *work]
    with options.json.open("ab", buffering=0) as file:
        run_worker(command, Row, file.write)
    print(file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
