"""Run our examples beside another project's tests in random orders: `python -m benchmarks.foreign_orders --orders 200`.

The examples are those of `tests/examples/any_order`. The other project is `tests/examples/foreign`: classes of
unittest, tests with torch's autograd, loaders and compiler, a diffusers pipeline, fixtures and a marker with the
plugin's names.
Each order is one session of pytest over all tests of both, mixed. The other project's tests must have the outcomes that
they have in a process without the plugin, and our examples the verdicts of the test alone. Sessions share a process, so
that one could also disturb the next; a new process starts after every 20.

The exit code is 1 if any order differs. With `--results FILE` each order is a line there, and orders that the file has
are not run again, so that a long run can be done in portions (`--seconds`).
"""

import argparse
import contextlib
import json
import multiprocessing
import os
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from benchmarks.shuffled_orders import shuffled

_FOLDER = Path(__file__).parents[1] / "tests" / "examples"
_OURS, _FOREIGN = "any_order", "foreign"
_PYTEST = ("-q", "--tb=no", "-p", "no:cacheprovider", f"--rootdir={_FOLDER}", "-c", os.devnull, "--keep-duplicates")
_WITHOUT = ("-p", "no:diffopt")
_SESSIONS_PER_PROCESS = 20

#: What each test came to: the outcomes of its phases, and for ours its verdicts.
Outcomes = Mapping[str, Sequence[Sequence[str]]]


class Observer:
    """Notes what each test came to."""

    def __init__(self) -> None:
        self.collected: list[str] = []
        self.outcomes: dict[str, list[list[str]]] = {}
        self._ledger: Any = None

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Note the order of the tests."""
        self.collected = [item.nodeid for item in session.items]

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note an outcome; a setup or teardown that passed is not one."""
        expected = "xfail" if hasattr(report, "wasxfail") else ""
        if report.when == "call" or report.outcome != "passed":
            row = [report.when, report.outcome, expected]
            self.outcomes.setdefault(report.nodeid, []).append(row)

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Note the verdicts, if the plugin made any."""
        if session.config.pluginmanager.has_plugin("diffopt-session"):
            from pytest_diffopt.session.ledger import ledger_of  # noqa: PLC0415 - not in a process without the plugin

            for entry in ledger_of(session.config).entries:
                verdict = entry.verdict
                row = [str(verdict.concern), str(verdict.outcome), verdict.summary]
                self.outcomes.setdefault(entry.nodeid, []).append(row)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print each test whose outcome depends on the order; the exit code is 1 if there is one."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--orders", type=int, default=20, help="number of random orders")
    parser.add_argument("--results", type=Path, help="a file of finished orders, which is continued")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="start no order after this time")
    given = parser.parse_args(arguments)
    end = time.monotonic() + given.seconds
    finished = _finished(given.results)
    with _processes() as processes:
        alone = _alone(processes)
        for seed in sorted(set(range(given.orders)) - finished.keys()):
            if time.monotonic() > end:
                break
            order = shuffled(sorted(alone), seed, twice=False)
            finished[seed] = list(differences(alone, processes.submit(session, order).result()[1]))
            _keep(given.results, seed, finished[seed])
    for seed, lines in sorted(finished.items()):
        for line in lines:
            print(f"seed {seed}: {line}")
    wrong = sum(map(len, finished.values()))
    foreign = sum(test.startswith(f"{_FOREIGN}/") for test in alone)
    tests = f"{foreign} tests of another project beside {len(alone) - foreign} examples"
    print(f"{tests}, {len(finished)} of {given.orders} orders: {wrong} outcomes differ")
    return 1 if wrong else 0


def differences(alone: Outcomes, together: Outcomes) -> Iterable[str]:
    """Yield a line for each test that came to something else than alone."""
    for test in sorted(alone.keys() | together.keys()):
        found, expected = list(together.get(test, ())), list(alone.get(test, ()))
        if found != expected:
            yield f"{test}: {found}, alone {expected}"


def session(tests: Sequence[str], *options: str) -> tuple[list[str], Outcomes]:
    """Run tests in this order in this process; return those that were collected, and what each came to."""
    observer = Observer()
    sys.path[:0] = [path for path in (str(_FOLDER / _OURS),) if path not in sys.path]
    modules, folder = set(sys.modules), Path.cwd()
    os.chdir(_FOLDER)
    try:
        with Path(os.devnull).open("w", encoding="utf-8") as nowhere, contextlib.redirect_stdout(nowhere):
            pytest.main([*_PYTEST, *options, *tests], plugins=[observer])
    finally:
        os.chdir(folder)
        _forget_examples(modules)
    return observer.collected, observer.outcomes


def _forget_examples(modules: set[str]) -> None:
    """Let the next session import the examples again; libraries stay."""
    for name in set(sys.modules) - modules:
        if str(getattr(sys.modules[name], "__file__", None) or "").startswith(str(_FOLDER)):
            del sys.modules[name]


def _processes() -> ProcessPoolExecutor:
    return ProcessPoolExecutor(
        max_workers=1,
        mp_context=multiprocessing.get_context("spawn"),
        max_tasks_per_child=_SESSIONS_PER_PROCESS,
    )


def _alone(processes: ProcessPoolExecutor) -> Outcomes:
    """Return what the other project's tests come to without the plugin, and each of our examples alone."""
    with _processes() as without_plugin:
        alone = dict(without_plugin.submit(session, [_FOREIGN], *_WITHOUT).result()[1])
    for test in processes.submit(session, [_OURS], "--collect-only").result()[0]:
        alone |= processes.submit(session, [test]).result()[1]
    return alone


def _finished(results: Path | None) -> dict[int, list[str]]:
    """Return the differences of each order that a file has."""
    if results is None or not results.exists():
        return {}
    rows = map(json.loads, results.read_text(encoding="utf-8").splitlines())
    return {row["seed"]: row["differences"] for row in rows}


def _keep(results: Path | None, seed: int, lines: Sequence[str]) -> None:
    if results is not None:
        with results.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"seed": seed, "differences": lines}) + "\n")


if __name__ == "__main__":
    sys.exit(main())
