"""What the null GPU counted: read from the library in this process."""

import ctypes
import functools
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import IntEnum
from types import MappingProxyType

from pytest_diffopt.null_gpu.errors import NullGpuError


class TallyKind(IntEnum):
    """What is counted; the order is that of `enum tally_kind` in csrc/null_gpu.h."""

    KERNEL = 0
    GRAPH_KERNEL = 1
    LIBRARY_CALL = 2
    GRAPH_LIBRARY_CALL = 3
    GRAPH_LAUNCH = 4
    COPY = 5
    SKIPPED_COPY = 6
    FILL = 7
    ALLOCATION = 8
    SYNC = 9
    UNMODELLED = 10
    HOST_CALLBACK = 11


class _Row(ctypes.Structure):
    _fields_ = (
        ("kind", ctypes.c_int),
        ("name", ctypes.c_char_p),
        ("count", ctypes.c_long),
        ("bytes", ctypes.c_long),
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Tally:
    """How often something happened, and to how many bytes."""

    count: int
    bytes: int = 0

    def __add__(self, other: "Tally") -> "Tally":
        """Return the sum."""
        return Tally(count=self.count + other.count, bytes=self.bytes + other.bytes)

    def __sub__(self, earlier: "Tally") -> "Tally":
        """Return what was added since."""
        return Tally(count=self.count - earlier.count, bytes=self.bytes - earlier.bytes)


_NOTHING = Tally(count=0)


@dataclass(frozen=True, kw_only=True, slots=True)
class Counts:
    """What the null GPU counted, by kind and name.

    Attributes:
        tallies: for each kind, the tallies by name. Kernels have the (mangled) names under which they are registered;
            library calls have their function's name and its sizes; copies their direction; allocations and syncs the
            API function; `UNMODELLED` the entry points whose effects are not modelled.
    """

    tallies: Mapping[TallyKind, Mapping[str, Tally]] = field(default_factory=lambda: MappingProxyType({}))

    def of(self, kind: TallyKind) -> Mapping[str, Tally]:
        """Return the tallies of a kind by name."""
        return self.tallies.get(kind, {})

    def total(self, kind: TallyKind) -> int:
        """Return how often anything of a kind happened."""
        return sum(tally.count for tally in self.of(kind).values())

    def total_bytes(self, kind: TallyKind) -> int:
        """Return the bytes of everything of a kind."""
        return sum(tally.bytes for tally in self.of(kind).values())

    def __add__(self, other: "Counts") -> "Counts":
        """Return the sum of two parts."""
        kinds = dict.fromkeys([*self.tallies, *other.tallies])
        return Counts(
            tallies={
                kind: {
                    name: self.of(kind).get(name, _NOTHING) + other.of(kind).get(name, _NOTHING)
                    for name in dict.fromkeys([*self.of(kind), *other.of(kind)])
                }
                for kind in kinds
            }
        )

    def __sub__(self, earlier: "Counts") -> "Counts":
        """Return what was counted since."""
        changed = {
            kind: {
                name: tally - earlier.of(kind).get(name, _NOTHING)
                for name, tally in self.of(kind).items()
                if tally != earlier.of(kind).get(name, _NOTHING)
            }
            for kind in self.tallies
        }
        return Counts(tallies={kind: tallies for kind, tallies in changed.items() if tallies})


@functools.cache
def library() -> ctypes.CDLL:
    """Return the preloaded library.

    Raises:
        NullGpuError: this process does not run on the null GPU.
    """
    loaded = ctypes.CDLL(None)
    try:
        loaded.null_gpu_tallies.restype = ctypes.c_size_t
    except AttributeError:
        msg = "this process does not run on the null GPU: start it with `python -m pytest_diffopt.null_gpu -- COMMAND`"
        raise NullGpuError(msg) from None
    loaded.null_gpu_tallies.argtypes = [ctypes.POINTER(_Row), ctypes.c_size_t]
    return loaded


def read_counts() -> Counts:
    """Return all that was counted since the process started."""
    read = library().null_gpu_tallies
    room = read(None, 0) + 64  # other threads may add some meanwhile
    rows = (_Row * room)()
    found = min(read(rows, room), room)
    tallies: dict[TallyKind, dict[str, Tally]] = {}
    for row in rows[:found]:
        name = row.name.decode(errors="replace")
        tallies.setdefault(TallyKind(row.kind), {})[name] = Tally(count=row.count, bytes=row.bytes)
    return Counts(tallies=tallies)


class Phase:
    """What was counted in a `with counting()` block; `counts` is set when it ends."""

    counts: Counts

    def __init__(self) -> None:
        self.counts = Counts()


@contextmanager
def counting() -> Iterator[Phase]:
    """Count what happens in the block, on all threads."""
    phase, before = Phase(), read_counts()
    try:
        yield phase
    finally:
        phase.counts = read_counts() - before


@contextmanager
def muted() -> Iterator[None]:
    """Leave what this thread does in the block out of all counters."""
    library().null_gpu_mute(1)
    try:
        yield
    finally:
        library().null_gpu_mute(-1)


def demangled(name: str) -> str:
    """Return a kernel's name as C++ writes it; a name that is not mangled is returned unchanged."""
    if not name.startswith("_Z"):
        return name
    demangle, release = _demangler()
    status = ctypes.c_int()
    text = demangle(name.encode(), None, None, ctypes.byref(status))
    if status.value or not text:
        return name
    try:
        return ctypes.string_at(text).decode()
    finally:
        release(text)


@functools.cache
def _demangler() -> tuple[Callable[..., int | None], Callable[[int], None]]:
    demangle = ctypes.CDLL("libstdc++.so.6")["__cxa_demangle"]
    demangle.restype = ctypes.c_void_p
    release = ctypes.CDLL(None)["free"]
    release.argtypes = [ctypes.c_void_p]
    release.restype = None
    return demangle, release


def kernel_counts(counts: Counts, *, kind: TallyKind = TallyKind.KERNEL) -> Counter[str]:
    """Return the launches of each kernel by its demangled name."""
    found: Counter[str] = Counter()
    for name, tally in counts.of(kind).items():
        found[demangled(name)] += tally.count
    return found
