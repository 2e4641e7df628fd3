"""The target whose call is being made: what compiles meanwhile is compiled for it."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

_called: ContextVar[Any] = ContextVar("diffopt_called_target", default=None)


@contextmanager
def call_of(target: Any) -> Iterator[None]:
    """Attribute everything in the block to a call of the target."""
    token = _called.set(target)
    try:
        yield
    finally:
        _called.reset(token)


def called_target() -> Any:
    """Return the target that is being called; None outside every watched call."""
    return _called.get()
