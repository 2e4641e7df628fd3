"""What an operation's host code reads back of its own scratch memory, which no kernel has written.

The numbers are given to the library before the operation runs (csrc/answers.c). Operations may run inside another one.
"""

import ctypes
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from pytest_diffopt.null_gpu.counters import library


def _as_int64(numbers: Sequence[int]) -> tuple[ctypes.Array[ctypes.c_int64], int]:
    return (ctypes.c_int64 * len(numbers))(*numbers), len(numbers)


_NO_NUMBERS = _as_int64(())


@dataclass(kw_only=True, slots=True)
class Reads:
    """What was read in a block.

    Attributes:
        unanswered: how often zero was read for want of a number; known when the block has ended.
    """

    unanswered: int = 0


@contextmanager
def answered(numbers: Sequence[int]) -> Iterator[Reads]:
    """Have this thread read back these numbers in order, and then zero."""
    reads = Reads()
    library().null_gpu_begin_answers(*(_as_int64(numbers) if numbers else _NO_NUMBERS))
    try:
        yield reads
    finally:
        reads.unanswered = library().null_gpu_end_answers()


@contextmanager
def reading_memory() -> Iterator[None]:
    """Have this thread read memory as it is, also inside an operation that is given numbers."""
    library().null_gpu_begin_memory()
    try:
        yield
    finally:
        library().null_gpu_end_answers()
