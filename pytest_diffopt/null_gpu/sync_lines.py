"""The Python line of every host-device synchronization, on any thread and from any library."""

import ctypes
import sys
import sysconfig
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from pytest_diffopt.null_gpu.counters import library

_HOOK = ctypes.CFUNCTYPE(None, ctypes.c_char_p)
_STANDARD_LIBRARY = sysconfig.get_path("stdlib") + "/"
_PACKAGE = str(Path(__file__).parent) + "/"
_GENERATED = ("<frozen ", "<eval_with_key>")  # of the import system and of torch.fx; <string> and <stdin> are a user's
_MAX_FRAMES = 64


@dataclass(frozen=True, kw_only=True, slots=True)
class Line:
    """A line of Python code.

    Attributes:
        file: the path of the file.
        number: the line's number, from 1.
        function: the name of the function.
    """

    file: str
    number: int
    function: str

    def __str__(self) -> str:
        """Return `file:line`, which terminals turn into a link."""
        return f"{self.file}:{self.number}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Sync:
    """A call that blocks the host until the device has done its work.

    Attributes:
        api: the function of CUDA that was called.
        thread: the name of the thread.
        stack: the Python lines of the thread, innermost first; empty on a thread that runs no Python.
    """

    api: str
    thread: str
    stack: tuple[Line, ...]

    @property
    def line(self) -> Line | None:
        """The innermost line outside torch, the standard library and this package; the innermost of all if none is."""
        outside = (line for line in self.stack if not _is_machinery(line.file))
        return next(outside, self.stack[0] if self.stack else None)


def _is_machinery(file: str) -> bool:
    if file.startswith((_PACKAGE, *_GENERATED)) or "/site-packages/torch/" in file:
        return True
    return file.startswith(_STANDARD_LIBRARY) and "/site-packages/" not in file


def _stack(frame: FrameType | None) -> tuple[Line, ...]:
    lines: list[Line] = []
    while frame is not None and len(lines) < _MAX_FRAMES:
        lines.append(Line(file=frame.f_code.co_filename, number=frame.f_lineno, function=frame.f_code.co_name))
        frame = frame.f_back
    return tuple(lines)


@contextmanager
def recording_syncs(when: Callable[[Sync], None]) -> Iterator[None]:
    """Call `when` for each synchronization in the block; blocks can be nested, and the inner one replaces the outer.

    `cudaFree` blocks too and is counted as an allocation: torch calls it while it holds the lock of its allocator, and
    asking for a Python line there could deadlock.
    """

    def report(api: bytes) -> None:
        frame = sys._getframe(1)  # noqa: SLF001 - CPython's own way to a frame without a traceback
        when(Sync(api=api.decode(), thread=threading.current_thread().name, stack=_stack(frame)))

    previous = _install(_HOOK(report))
    try:
        yield
    finally:
        _install(previous)


_installed: list[Any] = [None]


def _install(hook: Any) -> Any:
    # the reference is kept for as long as the library may call it
    previous, _installed[0] = _installed[0], hook
    library().null_gpu_on_sync(hook)
    return previous
