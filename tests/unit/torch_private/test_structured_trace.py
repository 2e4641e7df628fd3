"""Foreign handlers are removed from torch's structured trace."""

import logging

import pytest

from pytest_diffopt._torch_private.structured_trace import trace_not_captured


def test_foreign_handlers_are_removed_within_the_block() -> None:
    """Torch's handlers stay, and foreign ones are restored afterwards, also after an exception."""
    trace = logging.getLogger("torch.__trace")
    own = type("TraceHandler", (logging.NullHandler,), {"__module__": "torch._logging._internal"})()
    before = list(trace.handlers)
    foreign = logging.NullHandler()
    trace.addHandler(foreign)
    trace.addHandler(own)
    try:
        with trace_not_captured():
            during = list(trace.handlers)
        with pytest.raises(RuntimeError, match="injected"), trace_not_captured():
            fail("injected")
        after = set(trace.handlers)
    finally:
        trace.removeHandler(foreign)
        trace.removeHandler(own)

    assert own in during
    assert foreign not in during
    assert after == {*before, foreign, own}


def fail(message: str) -> None:
    """Raise inside a block."""
    raise RuntimeError(message)
