"""Torch's structured trace of its compilations."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def trace_not_captured() -> Iterator[None]:
    """Keep torch's structured trace out of pytest's captured logs.

    pytest hangs its handlers on every logger that does not propagate, this one too. It writes thousands of empty DEBUG
    lines a compilation, printed under each failure, and torch prepares their payloads whenever it has any handler.
    Handlers of torch's own (`TORCH_TRACE`) stay.
    """
    trace = logging.getLogger("torch.__trace")
    strangers = [handler for handler in trace.handlers if not type(handler).__module__.startswith("torch.")]
    for handler in strangers:
        trace.removeHandler(handler)
    try:
        yield
    finally:
        for handler in strangers:
            trace.addHandler(handler)
