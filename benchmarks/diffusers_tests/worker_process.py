"""Part of a worker process: its output, and a time limit for each pipeline."""

import logging
import os
import signal
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

import torch

from benchmarks.diffusers_tests import hub_replacements

_LIMIT_S = 900


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
    """Raise TimeoutError after a number of seconds."""

    def stop(*_: object) -> None:
        message = f"took longer than {limit_s} s"
        raise TimeoutError(message)

    previous = signal.signal(signal.SIGALRM, stop)
    signal.alarm(limit_s)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, previous)
