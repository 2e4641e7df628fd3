"""Torch's structured trace of its compilations."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def trace_not_captured() -> Iterator[None]:
    """Keep torch's structured trace out of pytest's captured logs.

    pytest adds its handlers to every logger that does not propagate, including this one. The trace logs thousands of
    empty DEBUG lines in each compilation, which pytest prints under each failure, and torch builds their payloads
    whenever the logger has a handler. Torch's own handlers (`TORCH_TRACE`) stay.
    """
    trace = logging.getLogger("torch.__trace")
    foreign = [handler for handler in trace.handlers if not type(handler).__module__.startswith("torch.")]
    for handler in foreign:
        trace.removeHandler(handler)
    try:
        yield
    finally:
        for handler in foreign:
            trace.addHandler(handler)
