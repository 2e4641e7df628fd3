"""The target whose call is being made: what compiles meanwhile is its own, and so is the state of the process."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from contextvars import ContextVar
from typing import Any

from pytest_diffopt.probes.attention_default import ATTENTION_DEFAULT

_called: ContextVar[Any] = ContextVar("diffopt_called_target", default=None)


@contextmanager
def call_of(target: Any) -> Iterator[None]:
    """Attribute everything in the block to a call of the target, and give it its own attention backend."""
    is_inner = _called.get() is not None
    token = _called.set(target)
    try:
        with nullcontext() if is_inner else ATTENTION_DEFAULT.applied(target):
            yield
    finally:
        _called.reset(token)


def called_target() -> Any:
    """Return the target that is being called; None outside every watched call."""
    return _called.get()
