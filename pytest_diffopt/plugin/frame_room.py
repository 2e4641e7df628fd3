"""Room for the frames of the Python functions that a test calls.

CPython keeps frames in chunks of 16 KiB, and before 3.13.13 and 3.14.4 unmaps a chunk as soon as its first frame ends
(python/cpython#142183): a function that is called again and again just across the border maps memory at each call. A
guard calls Python functions at each operation of a pipeline: one of our own tests took 51 s, and takes 35 s with room.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

# In pointers. CPython doubles the size of a chunk until the frame fits, so the next 1 MiB of frames share this one.
_FRAME_SIZE = 2**17
_METHODS = ("setup", "runtest")


def _called(function: Callable[[], Any]) -> Any:
    __tracebackhide__ = True
    return function()


_called.__code__ = _called.__code__.replace(co_stacksize=_FRAME_SIZE)


@contextmanager
def room_for_frames(item: pytest.Item) -> Iterator[None]:
    """Have the test and its fixtures called from one large frame."""
    before = {name: vars(item)[name] for name in _METHODS if name in vars(item)}
    for name in _METHODS:
        vars(item)[name] = _with_room(getattr(item, name))
    try:
        yield
    finally:
        for name in _METHODS:
            del vars(item)[name]
        vars(item).update(before)


def _with_room(function: Callable[[], Any]) -> Callable[[], Any]:
    return lambda: _called(function)
