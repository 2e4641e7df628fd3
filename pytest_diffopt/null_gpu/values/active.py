"""The engine that computes values in this process, if any."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from pytest_diffopt.null_gpu.clock import learning
from pytest_diffopt.null_gpu.values.engine import Engine
from pytest_diffopt.null_gpu.values.triton_launches import launches_remembered


class _Active:
    engine: Engine | None = None


_active = _Active()


def active_engine() -> Engine | None:
    """Return the engine of the active `computing()` block."""
    return _active.engine


def set_active_engine(engine: Engine | None) -> None:
    """Set the engine that operations are computed by."""
    _active.engine = engine


@contextmanager
def learning_work() -> Iterator[Callable[[], range]]:
    """Number the work of the block, and remember the operations behind it; the function returns the numbers so far."""
    engine = _active.engine
    before = engine.learns_work if engine is not None else False
    with learning() as numbers, launches_remembered():
        if engine is not None:
            engine.learns_work = True
        try:
            yield numbers
        finally:
            if engine is not None:
                engine.learns_work = before
