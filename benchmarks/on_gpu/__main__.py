"""What only a card can tell, as much of it as the budget allows; the same line again goes on from the JSON file.

python -m benchmarks.on_gpu ladder --json ladder.json --budget-seconds 540

The exit code is 0 when everything was measured, 1 when a case failed, 2 when the command cannot run here, and 3 when
the budget ended first.
"""

import argparse
import math
import sys
import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.on_gpu.children import ask_child, attempt
from benchmarks.on_gpu.command import Command, Figures
from benchmarks.on_gpu.commands import COMMANDS
from benchmarks.on_gpu.one_case import ENVIRONMENT
from benchmarks.on_gpu.results import REHEARSAL, Results
from benchmarks.on_gpu.running import Budget, measure_all
from benchmarks.on_gpu.setting import Setting
from pytest_diffopt.errors import DiffoptError

_FAILED, _CANNOT_RUN, _CASES_LEFT = 1, 2, 3


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure what is left, and print the table."""
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
    known = "; ".join(f"{one.name}: {one.summary}" for one in COMMANDS.values())
    parser.add_argument("command", choices=COMMANDS, help=known)
    parser.add_argument("--json", type=Path, required=True, metavar="FILE", help="results; what is there is kept")
    parser.add_argument("--budget-seconds", type=_positive, default=540.0, metavar="S", help="default: 540")
    parser.add_argument("--retry-failed", action="store_true", help="measure the cases that failed once more")
    parser.add_argument("--rehearse", action="store_true", help="on the CPU, tiny; measures nothing")
    return parser.parse_args(arguments)


def _positive(text: str) -> float:
    seconds = float(text)
    if not (math.isfinite(seconds) and seconds > 0):
        msg = f"must be a positive number of seconds, got: {text}"
        raise argparse.ArgumentTypeError(msg)
    return seconds


def _run(options: argparse.Namespace) -> int:
    budget = Budget(seconds=options.budget_seconds, clock=time.monotonic, start=time.monotonic())
    command = COMMANDS[options.command]
    reports = options.json.resolve().with_suffix("")
    setting = Setting(is_rehearsal=options.rehearse, reports=reports)
    child = ["--reports", str(reports), *(["--rehearse"] if options.rehearse else [])]
    environment = _environment(command, child)
    results = Results(options.json, command=command.name, environment=environment, is_rehearsal=setting.is_rehearsal)
    if options.retry_failed:
        results.forget_failures()
    names = [case.name for case in command.cases(setting)]
    left = measure_all(names, results, partial(attempt, command.name, child), budget=budget, tell=_tell)
    for line in report(command, setting, environment, results.cases):
        print(line)
    if left:
        print(f"left: {', '.join(left)}\ngo on with: {_again(options)}")
        return _CASES_LEFT
    return _FAILED if any("failed" in figures for figures in results.cases.values()) else 0


def _environment(command: Command, options: Sequence[str]) -> dict[str, Any]:
    answer = ask_child([command.name, ENVIRONMENT, *options]) or {}
    if "refused" in answer or "failed" in answer:
        raise DiffoptError(answer.get("refused") or answer["failed"])
    return answer


def report(
    command: Command, setting: Setting, environment: Mapping[str, Any], seen: Mapping[str, Figures]
) -> list[str]:
    """Return the table with what must be known to read it; in a rehearsal every single line says that it is one."""
    weights = sorted({figures["weights"] for figures in seen.values() if "weights" in figures})
    failures = [f"failed: {name}: {figures['failed']}" for name, figures in seen.items() if "failed" in figures]
    lines = [
        f"{command.name}: {environment['device']}, torch {environment['versions']['torch']}, scale {setting.scale}",
        *(f"weights: {one}" for one in weights),
        *command.table(setting, seen),
        *failures,
    ]
    return [REHEARSAL, *(f"rehearsal | {line}" for line in lines)] if setting.is_rehearsal else lines


def _again(options: argparse.Namespace) -> str:
    rehearse = " --rehearse" if options.rehearse else ""
    budget = f"--budget-seconds {options.budget_seconds:g}"
    return f"python -m benchmarks.on_gpu {options.command} --json {options.json} {budget}{rehearse}"


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
