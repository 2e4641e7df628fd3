"""The virtual clock: modelled durations of the device's work, and a log of what was enqueued and waited for.

A call is made twice: the first one learns which work there is, and the second one runs on the clock with a duration for
each piece of it. So the model costs no host time while the clock runs. Whatever the clock shows is an estimate.
"""

import ctypes
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from enum import IntEnum

from pytest_diffopt.null_gpu.counters import library
from pytest_diffopt.null_gpu.errors import NullGpuError

#: The number of the stream of an entry that waits for the whole device.
ALL_STREAMS = 2**64 - 1


class EntryType(IntEnum):
    """What an entry of the log is; the order is that of `enum entry_type` in csrc/clock.h."""

    WORK = 0
    GRAPH_WORK = 1
    RECORD = 2
    WAIT = 3
    SYNC = 4


class _Row(ctypes.Structure):
    _fields_ = (
        ("type", ctypes.c_int),
        ("name", ctypes.c_char_p),
        ("stream", ctypes.c_ulonglong),
        ("event", ctypes.c_void_p),
        ("host_ns", ctypes.c_long),
        ("device_ns", ctypes.c_long),
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """Something that was enqueued, or waited for.

    Attributes:
        type: what it is. The work of a graph has one entry for each node, all at the time of its launch.
        name: the kernel, the library call, `copy` or `fill`; the API function of a sync.
        stream: the number of the stream; `ALL_STREAMS` for a sync with the device.
        event: the event of a record or a wait, and of a sync with an event; 0 otherwise.
        host_ns: when the host did it, by the machine's clock.
        device_ns: the modelled duration of work; 0 where there is no model.
    """

    type: EntryType
    name: str = ""
    stream: int = 0
    event: int = 0
    host_ns: int = 0
    device_ns: int = 0


@contextmanager
def learning() -> Iterator[Callable[[], range]]:
    """Number the work of the block; the function returns the numbers of what was enqueued so far.

    Nodes of graphs that are captured in the block are numbered too, and keep their durations.
    """
    native = _native()
    first = native.null_gpu_clock_durations()
    before = native.null_gpu_clock_learn(1)
    try:
        yield lambda: range(first, native.null_gpu_clock_durations())
    finally:
        native.null_gpu_clock_learn(before)


def set_durations_ns(durations_ns: Mapping[int, int]) -> None:
    """Set the durations of numbered work, in nanoseconds."""
    for number, nanoseconds in durations_ns.items():
        _native().null_gpu_clock_set_duration(number, nanoseconds)


def set_copy_rates(*, bus_bytes_per_s: float, memory_bytes_per_s: float) -> None:
    """Set the bandwidths of copies: over the bus to the host and back, and within the device, which also fills use.

    A copy within the device reads and writes each byte.
    """
    native = _native()
    host_to_device, device_to_host, device_to_device, fill = 1, 2, 3, 4
    for kind, bytes_per_s in (
        (host_to_device, bus_bytes_per_s),
        (device_to_host, bus_bytes_per_s),
        (device_to_device, memory_bytes_per_s / 2),
        (fill, memory_bytes_per_s),
    ):
        native.null_gpu_clock_set_copies(kind, 1e9 / bytes_per_s)


@contextmanager
def running(work: range) -> Iterator[Callable[[], int]]:
    """Run the clock in the block, with the durations of this numbered work; the function returns the log's length.

    Raises:
        NullGpuError: the block enqueued other work than the one that was learned.
    """
    native = _native()
    native.null_gpu_clock_run(work.start, work.stop)
    try:
        yield lambda: int(native.null_gpu_clock_log(ctypes.byref(ctypes.POINTER(_Row)())))
        differs = bool(native.null_gpu_clock_differs())
    finally:
        native.null_gpu_clock_stop()
    if differs:
        msg = (
            "the device's time cannot be estimated: a call enqueues other work than the same call before: "
            f"{_named(native.null_gpu_clock_enqueued())} instead of {_named(native.null_gpu_clock_learned())}"
        )
        raise NullGpuError(msg)


def read_log() -> tuple[Entry, ...]:
    """Return the log since the clock was started last."""
    rows = ctypes.POINTER(_Row)()
    length = _native().null_gpu_clock_log(ctypes.byref(rows))
    names: dict[bytes, str] = {}
    return tuple(_entry(rows[index], names) for index in range(length))


def _entry(row: "_Row", names: dict[bytes, str]) -> Entry:
    name = names.setdefault(row.name, row.name.decode(errors="replace"))
    return Entry(
        type=EntryType(row.type),
        name=name,
        stream=row.stream,
        event=row.event or 0,
        host_ns=row.host_ns,
        device_ns=row.device_ns,
    )


def _named(work: bytes | None) -> str:
    return work.decode(errors="replace") if work else "nothing"


def _native() -> ctypes.CDLL:
    loaded = library()
    loaded.null_gpu_clock_learned.restype = loaded.null_gpu_clock_enqueued.restype = ctypes.c_char_p
    loaded.null_gpu_clock_durations.restype = ctypes.c_size_t
    loaded.null_gpu_clock_log.restype = ctypes.c_size_t
    loaded.null_gpu_clock_run.argtypes = [ctypes.c_size_t, ctypes.c_size_t]
    loaded.null_gpu_clock_set_duration.argtypes = [ctypes.c_size_t, ctypes.c_long]
    loaded.null_gpu_clock_set_copies.argtypes = [ctypes.c_int, ctypes.c_double]
    return loaded
