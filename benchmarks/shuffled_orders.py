"""Run the examples of `tests/examples/any_order` in random orders: `python -m benchmarks.shuffled_orders`.

Each order is one session of pytest over all tests of both files, mixed; every third session also runs each test twice.
The verdicts of each test, with their summaries, must equal those of the test alone in a session of its own. The exit
code is 1 if any differs.
"""

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

_ROOT = Path(__file__).parents[1]
#: The examples.
EXAMPLES = _ROOT / "tests" / "examples" / "any_order"
_TWICE_EVERY = 3

#: The verdicts of each test: concern, outcome and summary.
Verdicts = Mapping[str, Sequence[tuple[str, str, str]]]


def main(arguments: Sequence[str] | None = None) -> int:
    """Print each test whose verdicts depend on the order; the exit code is 1 if there is one."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--orders", type=int, default=20, help="number of random orders")
    orders: int = parser.parse_args(arguments).orders
    tests = collected()
    alone: dict[str, Sequence[tuple[str, str, str]]] = {}
    for test in tests:
        alone |= in_new_process([test])
    wrong = 0
    for seed in range(orders):
        order = shuffled(tests, seed, twice=seed % _TWICE_EVERY == 0)
        for line in differences(alone, in_new_process(order)):
            wrong += 1
            print(f"seed {seed}: {line}")
    print(f"{len(tests)} tests, {orders} orders: {wrong} verdicts differ from those of the test alone")
    return 1 if wrong else 0


def shuffled(tests: Sequence[str], seed: int, *, twice: bool) -> list[str]:
    """Return the tests in a random order, each once or twice."""
    order = [*tests, *(tests if twice else ())]
    random.Random(seed).shuffle(order)  # noqa: S311 - an order, not a secret
    return order


def verdicts_in(report: Path) -> Verdicts:
    """Return the verdicts in a `report.json`, by test, in the order in which they were made."""
    found: dict[str, list[tuple[str, str, str]]] = {}
    for entry in json.loads(report.read_text())["verdicts"]:
        verdict = entry["verdict"]
        row = (verdict["concern"], verdict["outcome"], verdict["summary"])
        found.setdefault(entry["nodeid"], []).append(row)
    return found


def differences(alone: Verdicts, together: Verdicts) -> Iterable[str]:
    """Yield a line for each test whose verdicts are not those of the test alone."""
    for test, rows in together.items():
        expected = list(alone.get(test, []))
        repeats = len(rows) // max(len(expected), 1)
        if list(rows) != expected * repeats or not repeats:
            yield f"{test}: {list(rows)}, alone {expected}"


def collected() -> list[str]:
    """Return the node ids of the examples."""
    output = _pytest(["--collect-only", "-q"], check=True)
    return [line for line in output.splitlines() if "::" in line]


def in_new_process(tests: Sequence[str]) -> Verdicts:
    """Run tests in this order in a process of their own, and return their verdicts."""
    with tempfile.TemporaryDirectory() as folder:
        _pytest(["-q", "--keep-duplicates", f"--diffopt-report={folder}", *tests])
        report = Path(folder, "report.json")
        return verdicts_in(report) if report.exists() else {}


def _pytest(arguments: Sequence[str], *, check: bool = False) -> str:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(_ROOT), str(EXAMPLES)])}
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", f"--rootdir={EXAMPLES}", "-c", os.devnull]
    ran = subprocess.run(
        [*command, *arguments], cwd=EXAMPLES, env=environment, check=check, capture_output=True, text=True
    )
    return ran.stdout


if __name__ == "__main__":
    sys.exit(main())
