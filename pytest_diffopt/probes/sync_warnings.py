"""The warnings of torch's sync debug mode, each with the frame that synchronizes."""

import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

# Text of the warning under set_sync_debug_mode("warn"); c10/cuda/CUDAFunctions.cpp, torch 2.13.
_SYNC_WARNING = "called a synchronizing CUDA operation"


@contextmanager
def noting_sync_warnings(note: Callable[[FrameType], None]) -> Iterator[None]:
    """Pass the frame of each of torch's sync warnings to `note`; show every other warning as before."""
    with warnings.catch_warnings():
        before = warnings.showwarning

        def showwarning(message: Warning | str, category: type[Warning], *rest: Any, **more: Any) -> None:
            if _SYNC_WARNING in str(message):
                note(sys._getframe(1))  # noqa: SLF001 - CPython has no public equivalent as fast
            else:
                before(message, category, *rest, **more)

        warnings.filterwarnings("always", message=f".*{_SYNC_WARNING}.*")
        warnings.filterwarnings("ignore", message=".*Synchronization debug mode is a prototype feature.*")
        warnings.showwarning = showwarning
        yield
