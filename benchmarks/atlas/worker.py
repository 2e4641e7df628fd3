"""Measure groups of diffusers' tests, and print a line of JSON for each pipeline.

`python -m benchmarks.atlas` starts this as a separate process, because a pipeline may crash it.
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import msgspec
import torch

from benchmarks.atlas.compiled import measure_denoisers
from benchmarks.atlas.entries import Entry
from benchmarks.atlas.measured_call import MeasuredCall, measured_call
from benchmarks.atlas.simulated import measure_loop, measure_memory
from benchmarks.diffusers_tests.cases import Case
from benchmarks.diffusers_tests.results import Outcome
from benchmarks.diffusers_tests.worker_process import limited, prepare, print_line, reason_of, results_of_group

_LIMIT_S = 240  # of CPU time
_Measured = TypeVar("_Measured")


def main() -> None:
    """Run the groups of the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkout", type=Path)
    parser.add_argument("--skip", nargs="*", default=[], metavar="GROUP/CASE")
    parser.add_argument("--groups", nargs="+", required=True)
    options = parser.parse_args()
    lines = prepare(options.checkout)
    for group in options.groups:
        for one in results_of_group(options.checkout, group, options.skip, Entry, _measured):
            print_line(lines, one)


def _measured(entry: Entry, case: Case) -> Entry:
    start = time.process_time()
    try:
        with limited(_LIMIT_S), torch.no_grad():
            pipeline = case.build()
            pipeline(**case.inputs())
            measured = measured_call(case)
    except Exception as error:  # noqa: BLE001 - any error that keeps diffusers' own test from running
        return msgspec.structs.replace(entry, outcome=Outcome.NOT_BUILT, reason=reason_of(error))
    unknown: dict[str, str] = {}
    return msgspec.structs.replace(
        entry,
        outcome=Outcome.RAN,
        pipeline=type(pipeline).__name__,
        loop=_tried("loop", measure_loop, measured, unknown),
        memory=_tried("memory", measure_memory, measured, unknown),
        denoisers=_tried("denoisers", measure_denoisers, measured, unknown),
        unknown=unknown,
        cpu_s=round(time.process_time() - start, 1),
    )


def _tried(
    name: str, measure: Callable[[MeasuredCall], _Measured], call: MeasuredCall, unknown: dict[str, str]
) -> _Measured | None:
    try:
        with limited(_LIMIT_S):
            return measure(call)
    except Exception as error:  # noqa: BLE001 - the entry names whatever prevented the measurement
        unknown[name] = reason_of(error)
        return None


if __name__ == "__main__":
    main()
