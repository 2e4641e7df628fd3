"""Part of a worker process: its output, its pipelines, and a time limit for each."""

import logging
import os
import signal
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

import msgspec
import torch

from benchmarks.diffusers_tests import hub_replacements
from benchmarks.diffusers_tests.cases import CannotReadError, Case, cases, files
from benchmarks.diffusers_tests.results import Done, Kind, Outcome, Result

_LIMIT_S = 900
_LONGEST_REASON = 300


def prepare(checkout: Path) -> TextIO:
    """Prepare the process for diffusers' tests, and reserve its standard output.

    The pipe to the parent is for lines of JSON; all other output goes to standard error. Tokenizers and text encoders
    are replaced for the rest of the process, because none can be fetched.

    Args:
        checkout: the checkout whose tests can then be imported.
    """
    lines = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    sys.path.insert(0, str(checkout))
    torch.set_num_threads(1)
    logging.disable(logging.WARNING)
    warnings.simplefilter("ignore")
    hub_replacements.install()
    return lines


@contextmanager
def limited(limit_s: int = _LIMIT_S) -> Iterator[None]:
    """Raise TimeoutError after a number of seconds of CPU time, which a busy machine does not shorten."""

    def stop(*_: object) -> None:
        message = f"took longer than {limit_s} s of CPU time"
        raise TimeoutError(message)

    previous = signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, limit_s)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, previous)


def results_of_group(
    checkout: Path, group: str, skip: Sequence[str], kind: type[Kind], measure: Callable[[Kind, Case], Kind]
) -> Iterator[Kind | Done]:
    """Measure each pipeline of a group; before each yield what remains if it crashes the process, at last the end.

    Args:
        checkout: the checkout of diffusers.
        group: folder of its tests.
        skip: names of results that exist.
        kind: the type of the results.
        measure: returns the result of a pipeline from the one that remains otherwise.
    """
    for file in files(checkout, group):
        if f"{group}/{file.stem}" in skip:
            continue
        try:
            for case in cases(group, file):
                started = kind(group=group, case=case.name, outcome=Outcome.CRASHED)
                if started.name not in skip:
                    yield started
                    yield measure(started, case)
        except CannotReadError as error:
            yield kind(group=group, case=file.stem, outcome=Outcome.NOT_BUILT, reason=str(error)[:_LONGEST_REASON])
    yield Done(done=group)


def print_line(lines: TextIO, one: Result | Done) -> None:
    """Print a line of JSON to the parent."""
    lines.write(msgspec.json.encode(one).decode() + "\n")
    lines.flush()


def reason_of(error: Exception) -> str:
    """Return the type and message of an error in one line."""
    return f"{type(error).__name__}: {' '.join(str(error).split())}"[:_LONGEST_REASON]
