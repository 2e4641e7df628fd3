"""Turning values on: the CPU computes each operation on the memory that its CUDA kernel would have written."""

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum
from pathlib import Path
from typing import Any

from pytest_diffopt.null_gpu.counters import library
from pytest_diffopt.null_gpu.errors import NullGpuError
from pytest_diffopt.null_gpu.values import compiled, cuda_graphs
from pytest_diffopt.null_gpu.values.active import active_engine, set_active_engine
from pytest_diffopt.null_gpu.values.dispatch_key import included, intercept
from pytest_diffopt.null_gpu.values.engine import COPY_LIMIT_BYTES, Engine, ValueReport
from pytest_diffopt.null_gpu.values.resident_memory import resident_bytes

_EVERYTHING = 2**62
# HunyuanVideo reads a tensor of 1.6 MiB: are all embeddings of the image zero, because there is none?
_LIMITS_BYTES = {"small": COPY_LIMIT_BYTES, "all": _EVERYTHING}
_MEMORY_SHARE = 0.8
# A tiny pipeline needs less; other processes may take all memory for a moment when the limit is set.
_LEAST_LIMIT_BYTES = 2**30


class Values(Enum):
    """Which values exist."""

    SMALL = "small"
    ALL = "all"


@contextmanager
def computing(values: Values = Values.SMALL, *, resident_limit_bytes: int | None = None) -> Iterator[ValueReport]:
    """Give values to what this thread runs on the null GPU, and to what backward runs for it on other threads.

    The block cannot be nested in another one.

    Args:
        values: `SMALL` for tensors of up to 4 MiB that depend on no larger one, `ALL` for every tensor.
        resident_limit_bytes: the resident memory at which the run ends; by default this process's and four fifths of
            what is available now, at least 1 GiB.

    Raises:
        NullGpuError: the process does not run on the null GPU, or another block is active.
        MissingValueError: within the block, where a value is read that no operation computed.
        ResidentMemoryError: within the block, where the process takes more memory than allowed.
    """
    engine = Engine(
        limit_bytes=_LIMITS_BYTES[values.value],
        resident_limit_bytes=resident_limit_bytes or _default_limit_bytes(),
    )
    with _activated(engine), included():
        yield engine.report


def is_computing() -> bool:
    """Whether a `computing()` block is active."""
    return active_engine() is not None


@contextmanager
def _activated(engine: Engine) -> Iterator[None]:
    if active_engine() is not None:
        msg = "values are computed already: computing() cannot be nested"
        raise NullGpuError(msg)
    native = library()
    native.null_gpu_copy_limit.argtypes = [ctypes.c_size_t]
    intercept(_handle)
    compiled.install()
    cuda_graphs.install()
    set_active_engine(engine)
    native.null_gpu_read_memory(1)
    native.null_gpu_copy_limit(engine.copied_bytes)
    try:
        yield
    finally:
        set_active_engine(None)
        native.null_gpu_read_memory(0)
        native.null_gpu_copy_limit(COPY_LIMIT_BYTES)


def _handle(operation: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    engine = active_engine()
    return operation(*args, **kwargs) if engine is None else engine.run(operation, args, kwargs)


def _available_bytes() -> int:
    fields = dict(line.split(":", 1) for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines())
    return int(fields["MemAvailable"].split()[0]) * 1024


def _default_limit_bytes() -> int:
    return resident_bytes() + max(_LEAST_LIMIT_BYTES, int(_MEMORY_SHARE * _available_bytes()))
