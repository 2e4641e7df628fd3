"""The target whose call is being made: what compiles meanwhile is its own, and so is the state of the process."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from pytest_diffopt.probes.attention_default import ATTENTION_DEFAULT

_called: ContextVar[Any] = ContextVar("diffopt_called_target", default=None)


@contextmanager
def call_of(target: Any) -> Iterator[None]:
    """Attribute everything in the block to a call of the target, and give it its own attention backend.

    A call within a call belongs to the outer target.
    """
    if _called.get() is not None:
        yield
        return
    token = _called.set(target)
    try:
        with ATTENTION_DEFAULT.applied(target):
            yield
    finally:
        _called.reset(token)


def called_target() -> Any:
    """Return the target that is being called; None outside every watched call."""
    return _called.get()
