"""Run every tiny pipeline of diffusers' own fast tests on the CPU and on the simulated GPU, and compare.

python -m benchmarks.generality --diffusers-tests ../diffusers --json generality.json

The checkout of diffusers' repository must be of the installed release; its tests need
`pip install parameterized requests-mock ftfy`. The simulated GPU keeps the values of all tensors. CPU time is compared,
because other processes on the machine affect wall-clock time. An interrupted run continues where its --json file ends.
The exit code is 1 if a pipeline fails or differs, or if a limit is exceeded.
"""

import argparse
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from importlib import metadata, util
from pathlib import Path

import msgspec

from benchmarks.diffusers_tests.cases import groups
from benchmarks.generality import rows
from benchmarks.generality.rows import Outcome, Row
from pytest_diffopt.errors import did_you_mean

_ROOT = Path(__file__).parents[2]
_NEEDED = {"parameterized": "parameterized", "requests_mock": "requests-mock", "ftfy": "ftfy"}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line."""
    options = _parsed(arguments)
    checkout: Path = options.diffusers_tests.resolve()
    expected = _expected(options.only, groups(checkout))
    _check_requirements(checkout)
    file: Path = options.json
    found, done = rows.read(file)
    _rewrite(file, found, done)
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


def _expected(asked: Sequence[str], known: Sequence[str]) -> Sequence[str]:
    for name in asked:
        if name not in known:
            message = f"--only: diffusers has no folder of pipeline tests called {name!r}{did_you_mean(name, known)}"
            raise SystemExit(message)
    return asked or known


def _check_requirements(checkout: Path) -> None:
    missing = [package for module, package in _NEEDED.items() if util.find_spec(module) is None]
    if missing:
        message = f"diffusers' tests need packages that are not installed; run: pip install {' '.join(missing)}"
        raise SystemExit(message)
    source, installed = checkout / "src" / "diffusers" / "__init__.py", metadata.version("diffusers")
    version = re.search(r'__version__ = "(.+)"', source.read_text()) if source.is_file() else None
    if version and version[1] != installed:
        print(f"the checkout is of diffusers {version[1]}, but {installed} is installed: some tests may not match")


def _rewrite(file: Path, found: Sequence[Row], done: set[str]) -> None:
    """Rewrite the file without the incomplete last line of an interrupted worker."""
    lines = [*map(msgspec.json.encode, found), *(msgspec.json.encode(rows.Done(done=group)) for group in sorted(done))]
    file.write_bytes(b"".join(line + b"\n" for line in lines))


def _run(options: argparse.Namespace, work: Sequence[str]) -> None:
    """Run groups in a worker until it ends; if it dies, the pipeline that it was running is a crashed row."""
    command = [sys.executable, "-m", "benchmarks.generality.worker", str(options.diffusers_tests.resolve())]
    command += ["--rounds", str(options.rounds), "--attention", options.attention, *work]
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    running: Row | None = None
    with (
        options.json.open("ab") as file,
        subprocess.Popen(command, cwd=_ROOT, env=environment, stdout=subprocess.PIPE) as worker,
    ):
        assert worker.stdout is not None  # noqa: S101 - PIPE is passed
        for line in worker.stdout:
            started = _started(line)
            running = started
            if started is None:
                file.write(line)
                file.flush()
                print(".", end="", file=sys.stderr, flush=True)
        code = worker.wait()
        print(file=sys.stderr)
        if code and running is None:
            message = f"the worker exited with code {code} outside of a pipeline; its output is above"
            raise SystemExit(message)
        if code and running is not None:
            crashed = msgspec.structs.replace(running, reason=f"the process exited with code {code}")
            file.write(msgspec.json.encode(crashed) + b"\n")


def _started(line: bytes) -> Row | None:
    """Return the row of a pipeline that a worker starts; None for every other line."""
    one = msgspec.json.decode(line, type=dict[str, object])
    row = None if "done" in one else msgspec.convert(one, Row)
    return row if row is not None and row.outcome is Outcome.CRASHED else None


if __name__ == "__main__":
    sys.exit(main())
