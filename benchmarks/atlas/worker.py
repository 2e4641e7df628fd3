"""Measure groups of diffusers' tests, and print a line of JSON for each pipeline.

`python -m benchmarks.atlas` starts this as a separate process, because a pipeline may crash it.
"""

import argparse
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TextIO, TypeVar

import msgspec
import torch

from benchmarks.atlas.compiled import measure_denoisers
from benchmarks.atlas.entries import Done, Entry, Outcome
from benchmarks.atlas.measured_call import MeasuredCall, measured_call
from benchmarks.atlas.simulated import measure_loop, measure_memory
from benchmarks.diffusers_tests.cases import CannotReadError, Case, cases, files
from benchmarks.diffusers_tests.worker_process import limited, prepare

_LONGEST_REASON = 300
_LIMIT_S = 240
_Measured = TypeVar("_Measured")


def main() -> None:
    """Run the groups of the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkout", type=Path)
    parser.add_argument("--skip", nargs="*", default=[], metavar="GROUP/CASE")
    parser.add_argument("--group", required=True)
    options = parser.parse_args()
    lines = prepare(options.checkout)
    for entry in _entries(options.checkout, options.group, options.skip):
        _print(lines, entry)
    _print(lines, Done(done=options.group))


def _print(lines: TextIO, one: Entry | Done) -> None:
    lines.write(msgspec.json.encode(one).decode() + "\n")
    lines.flush()


def _entries(checkout: Path, group: str, skip: list[str]) -> Iterator[Entry]:
    for file in files(checkout, group):
        if f"{group}/{file.stem}" in skip:
            continue
        try:
            for case in cases(group, file):
                started = Entry(group=group, case=case.name, outcome=Outcome.CRASHED)
                if started.name not in skip:
                    yield started  # the entry that remains if the process crashes
                    yield _measured(started, case)
        except CannotReadError as error:
            yield Entry(group=group, case=file.stem, outcome=Outcome.NOT_BUILT, reason=str(error)[:_LONGEST_REASON])


def _measured(entry: Entry, case: Case) -> Entry:
    start = time.monotonic()
    try:
        with limited(_LIMIT_S), torch.no_grad():
            pipeline = case.build()
            pipeline(**case.inputs())
            measured = measured_call(case)
    except Exception as error:  # noqa: BLE001 - any error that keeps diffusers' own test from running
        return msgspec.structs.replace(entry, outcome=Outcome.NOT_BUILT, reason=_reason(error))
    unknown: dict[str, str] = {}
    return msgspec.structs.replace(
        entry,
        outcome=Outcome.MEASURED,
        pipeline=type(pipeline).__name__,
        loop=_tried("loop", measure_loop, measured, unknown),
        memory=_tried("memory", measure_memory, measured, unknown),
        denoisers=_tried("denoisers", measure_denoisers, measured, unknown),
        unknown=unknown,
        seconds=round(time.monotonic() - start, 1),
    )


def _tried(
    name: str, measure: Callable[[MeasuredCall], _Measured], call: MeasuredCall, unknown: dict[str, str]
) -> _Measured | None:
    try:
        with limited(_LIMIT_S):
            return measure(call)
    except Exception as error:  # noqa: BLE001 - the entry names whatever prevented the measurement
        unknown[name] = _reason(error)
        return None


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"[:_LONGEST_REASON]


if __name__ == "__main__":
    main()
