"""Handlers of strangers do not listen to torch's structured trace."""

import logging

import pytest

from pytest_diffopt._torch_private.structured_trace import trace_not_captured


def test_handlers_of_strangers_are_off_the_trace_within_the_block() -> None:
    """Torch's own stay, and the strangers' are back afterwards, also after a failure."""
    trace = logging.getLogger("torch.__trace")
    own = type("TraceHandler", (logging.NullHandler,), {"__module__": "torch._logging._internal"})()
    strangers = list(trace.handlers)
    stranger = logging.NullHandler()
    trace.addHandler(stranger)
    trace.addHandler(own)
    try:
        with trace_not_captured():
            during = list(trace.handlers)
        with pytest.raises(RuntimeError, match="injected"), trace_not_captured():
            fail("injected")
        after = set(trace.handlers)
    finally:
        trace.removeHandler(stranger)
        trace.removeHandler(own)

    assert own in during
    assert stranger not in during
    assert after == {*strangers, stranger, own}


def fail(message: str) -> None:
    """Fail in the middle of a block."""
    raise RuntimeError(message)
