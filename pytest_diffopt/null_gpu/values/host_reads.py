"""Calls without values, for measuring their host time: computing values takes the CPU's time.

What the control flow of such a call reads from the GPU is replayed from a call that was computed.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any, TypeVar

from pytest_diffopt.null_gpu.errors import HostReadsDifferError
from pytest_diffopt.null_gpu.values.active import active_engine, set_active_engine
from pytest_diffopt.null_gpu.values.dispatch_key import restore, withdraw
from pytest_diffopt.null_gpu.values.read_tape import ReadTape, replay_differs

_Result = TypeVar("_Result")


@contextmanager
def without_values(call: Callable[[], _Result]) -> Iterator[Callable[[], _Result]]:
    """Yield a call that computes values when it is made for the first and second time only.

    The first call may prepare what later ones reuse, and so read more than they do. What the second reads back from the
    GPU is what every later one reads. Without an active `computing()` block the call itself is yielded. Blocks may be
    nested, for several calls. After a call without values nothing else in the block has any: to stop and to begin
    computing takes longer than a short call, and would be on its clock.

    A later call raises `HostReadsDifferError` if it reads back another number or other sizes of values.
    """
    if active_engine() is None:
        yield call
        return
    tape = ReadTape()
    modes: list[Any] = [_computed, lambda: _computed(tape), lambda: _replaying(tape)]

    def timed() -> _Result:
        mode = modes.pop(0) if len(modes) > 1 else modes[0]
        with mode():
            return call()

    try:
        yield timed
    finally:
        restore()


@contextmanager
def _computed(tape: ReadTape | None = None) -> Iterator[None]:
    restore()  # another call of the block may have been without
    with tape.recording() if tape else nullcontext():
        yield


@contextmanager
def _replaying(tape: ReadTape) -> Iterator[None]:
    engine = active_engine()
    set_active_engine(None)
    try:
        withdraw()
        with tape.replaying():
            yield
            differs = replay_differs()
    finally:
        set_active_engine(engine)
    if differs:
        msg = "host time cannot be measured: a call reads back other values from the GPU than the same call before"
        raise HostReadsDifferError(msg)
