"""The library's tapes of what a thread reads back from the GPU."""

import ctypes
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum

import torch

from pytest_diffopt.null_gpu.counters import library


class _Mode(IntEnum):
    """As `enum tape_mode` in csrc/copies.c."""

    OFF = 0
    RECORDS = 1
    REPLAYS = 2


class ReadTape:
    """What a thread read back in one call."""

    def __init__(self) -> None:
        native = library()
        native.null_gpu_new_tape.restype = ctypes.c_void_p
        self._handle = ctypes.c_void_p(native.null_gpu_new_tape())
        weakref.finalize(self, native.null_gpu_free_tape, self._handle)

    @contextmanager
    def recording(self) -> Iterator[None]:
        """Keep what this thread reads back in the block, in place of what was kept before."""
        with self._used(_Mode.RECORDS):
            yield

    @contextmanager
    def replaying(self) -> Iterator[None]:
        """Have this thread read back what was kept, in the same order."""
        with self._used(_Mode.REPLAYS):
            yield

    @contextmanager
    def _used(self, mode: _Mode) -> Iterator[None]:
        library().null_gpu_use_tape(self._handle, int(mode))
        try:
            yield
        finally:
            library().null_gpu_use_tape(self._handle, int(_Mode.OFF))


def replay_differs() -> bool:
    """Return whether what the thread has read so far differs from what was kept, in number or size."""
    return bool(library().null_gpu_tape_differs())


def amend_last_read(target: torch.Tensor) -> None:
    """Replace the value that was kept last by what a conversion computed, in a CPU tensor."""
    if target.is_contiguous():
        library().null_gpu_amend_tape(ctypes.c_void_p(target.data_ptr()), ctypes.c_size_t(target.nbytes))
