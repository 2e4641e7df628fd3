"""Run measurements that need a GPU within a time budget; the same command continues from its JSON file.

python -m benchmarks.on_gpu ladder --json ladder.json --budget-seconds 540

The exit code is 0 if everything was measured, 1 if a case failed or had an unexpected result, 2 if the command cannot
run on this machine, and 3 if the budget ended first.
"""

import argparse
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.on_gpu.children import run_child
from benchmarks.on_gpu.command import REASONS, WRONG, Command, Figures
from benchmarks.on_gpu.commands import COMMANDS
from benchmarks.on_gpu.one_case import ENVIRONMENT
from benchmarks.on_gpu.results import REHEARSAL, Results, ResultsError
from benchmarks.on_gpu.running import Budget, measure_all, positive_seconds
from benchmarks.on_gpu.setting import Setting
from pytest_diffopt.errors import DiffoptError
from pytest_diffopt.pipelines.scale import Scale

_FAILED, _CANNOT_RUN, _CASES_LEFT = 1, 2, 3


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure the remaining cases, and print the table."""
    options = _parsed(arguments)
    try:
        return _run(options)
    except DiffoptError as error:
        print(f"on_gpu: {error}", file=sys.stderr)
        return _CANNOT_RUN


def _parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.on_gpu", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    summaries = "; ".join(f"{one.name}: {one.summary}" for one in COMMANDS.values())
    parser.add_argument("command", choices=COMMANDS, help=summaries)
    parser.add_argument(
        "--json", type=Path, required=True, metavar="FILE", help="file of the results; existing results are kept"
    )
    parser.add_argument("--budget-seconds", type=positive_seconds, default=540.0, metavar="S", help="default: 540")
    parser.add_argument("--retry-failed", action="store_true", help="repeat the cases that failed")
    parser.add_argument(
        "--rehearse", action="store_true", help="run tiny pipelines on the CPU or the null GPU, without measuring"
    )
    return parser.parse_args(arguments)


def _run(options: argparse.Namespace) -> int:
    command = COMMANDS[options.command]
    budget = Budget(
        seconds=options.budget_seconds,
        clock=time.monotonic,
        start=time.monotonic(),
        least_seconds=command.least_seconds,
    )
    reports = options.json.resolve().with_name(f"{options.json.stem}-reports")
    setting = Setting(is_rehearsal=options.rehearse, reports=reports)
    child = ["--reports", str(reports), *(["--rehearse"] if options.rehearse else [])]
    run = partial(run_child, command.name, child, _log(reports))
    environment = _environment(run)
    results = Results(options.json, command=command.name, environment=environment, is_rehearsal=setting.is_rehearsal)
    if options.retry_failed:
        results.forget_failures()
    names = [case.name for case in command.cases(setting)]
    left = measure_all(names, results, run, budget=budget, progress=_progress)
    for line in report(command, setting, environment, results.cases):
        print(line)
    if left:
        print(f"left: {', '.join(left)}\ncontinue with: {_again(options)}")
        return _CASES_LEFT
    return _FAILED if any({"failed", WRONG} & figures.keys() for figures in results.cases.values()) else 0


def _log(reports: Path) -> Path:
    """Create the file for the output of torch and the libraries, and return its path."""
    try:
        reports.mkdir(parents=True, exist_ok=True)
        log = reports / "log.txt"
        log.touch()
    except OSError as error:
        msg = f"the report folder cannot be written: {reports} ({error.strerror})"
        raise ResultsError(msg) from error
    return log


def _environment(run: Callable[[str], dict[str, Any] | None]) -> dict[str, Any]:
    answer = run(ENVIRONMENT) or {}
    if "refused" in answer or "failed" in answer:
        raise ResultsError(answer.get("refused") or answer["failed"])
    return answer


def report(
    command: Command, setting: Setting, environment: Mapping[str, Any], seen: Mapping[str, Figures]
) -> list[str]:
    """Return the table, with machine, weights and reasons of missing figures; in a rehearsal every line is marked."""
    weights = sorted({figures["weights"] for figures in seen.values() if "weights" in figures})
    scale = Scale.TINY if command.is_always_tiny else setting.scale
    lines = [
        f"{command.name}: {environment['device']}, torch {environment['versions']['torch']}, scale {scale}",
        *(f"weights: {one}" for one in weights),
        *command.table(setting, seen),
        *(
            f"{name}: {reason}: {one[reason]}"
            for name, one in seen.items()
            for reason in (*REASONS, WRONG)
            if reason in one
        ),
    ]
    return [REHEARSAL, *(f"rehearsal | {line}" for line in lines)] if setting.is_rehearsal else lines


def _again(options: argparse.Namespace) -> str:
    rehearse = " --rehearse" if options.rehearse else ""
    budget = f"--budget-seconds {options.budget_seconds:g}"
    return f"python -m benchmarks.on_gpu {options.command} --json {options.json} {budget}{rehearse}"


def _progress(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
