"""Counts of a simulated GPU: syncs, work, bytes over the bus and memory, each by phase and by module."""

import sys
import threading
from collections.abc import Callable, Hashable, Iterable
from types import CodeType, FrameType
from typing import Any, TypeVar

from pytest_diffopt.records.code_location import UNKNOWN_LOCATION, CodeLocation, is_machinery, locate, moves_weights
from pytest_diffopt.simulated_gpu.observations import Counts, Sync, SyncKind

# CUDACachingAllocator::kMinBlockSize: every allocation is a multiple of it, also in `memory_allocated`.
_BLOCK_BYTES = 512

_Key = TypeVar("_Key", bound=Hashable)

# A running line: the identity of its code object and the offset of its instruction. Code objects are slow to hash and
# line numbers slow to look up, so a place becomes a CodeLocation only when it is reported.
_Place = tuple[int, int]
_codes: dict[int, CodeType] = {}  # keeps the code objects alive, so that an identity stays unique
_machinery: dict[str, bool] = {}


def _users_place() -> _Place | None:
    """Return the innermost running line of user code, which is at least three frames above this one."""
    frame: FrameType | None = sys._getframe(3)  # noqa: SLF001 - the only way to a frame without a traceback
    known = _machinery
    while frame is not None:
        code = frame.f_code
        file = code.co_filename
        skip = known.get(file)
        if skip is None:
            skip = known[file] = is_machinery(file)
        if not skip:
            identity = id(code)
            if identity not in _codes:
                _codes[identity] = code
            return identity, frame.f_lasti
        frame = frame.f_back
    return None


def _location(place: _Place | None) -> CodeLocation:
    if place is None:
        return UNKNOWN_LOCATION
    identity, offset = place
    code = _codes[identity]
    lines = (line for start, end, line in code.co_lines() if start <= offset < end and line is not None)
    return locate(code.co_filename, next(lines, code.co_firstlineno), code.co_name)


class Cell:
    """Running counts of one module in one phase."""

    __slots__ = ("allocated_bytes", "bytes_to_device", "bytes_to_host", "flops", "operations", "peak_memory_bytes")

    def __init__(self, live_bytes: int) -> None:
        self.flops = self.operations = self.bytes_to_device = self.bytes_to_host = self.allocated_bytes = 0
        self.peak_memory_bytes = live_bytes

    def counts(self) -> Counts:
        """Return the counts so far."""
        return Counts(**{name: getattr(self, name) for name in self.__slots__})


class Allocation:
    """Memory of the GPU, shared by a tensor and its views and released with the last of them.

    Attributes:
        ledger: counts it.
        nbytes: its size, rounded up to the allocator's block size.
        holder: the line of user code that allocated it.
        has_data: whether the values in it are known.
        origin: the copied host tensor and its version, while values that are not kept here are equal to its values.
    """

    __slots__ = ("has_data", "holder", "ledger", "nbytes", "origin")

    def __init__(self, ledger: "CostLedger", nbytes: int, holder: "_Holder", *, has_data: bool) -> None:
        self.ledger = ledger
        self.nbytes = nbytes
        self.holder = holder
        self.has_data = has_data
        self.origin: tuple[Any, int | None] | None = None

    def __del__(self) -> None:
        self.ledger.release(self)


class _Holder:
    """The live bytes that one line of user code allocated."""

    __slots__ = ("nbytes",)

    def __init__(self) -> None:
        self.nbytes = 0


class _Thread(threading.local):
    """The running module and the counts of one thread; each thread writes only to its own counts."""

    def __init__(self, register: Callable[[dict[tuple[Hashable | None, str], Cell]], None]) -> None:
        self.module = ""
        self.cells: dict[tuple[Hashable | None, str], Cell] = {}
        register(self.cells)


class CostLedger:
    """Counts everything between entering and leaving one simulated GPU.

    Attributes:
        phase: the current phase; None outside every phase.
        placeholders: reads of values that do not exist: the operation and the line.
        unmodelled: operations without a shape rule or a known cost.
        live_bytes: bytes that are allocated now.
        peak_bytes: the most bytes that were allocated at one moment.
        is_open: whether it still counts.
        num_alive: number of allocations that are not released; it is counted after the end too.
        thread: the state of the calling thread.
    """

    def __init__(self) -> None:
        self.phase: Hashable | None = None
        # Lines of code are looked up when syncs are read: a loop synchronizes at the same place many times.
        self._syncs: list[tuple[SyncKind, str, _Place | None, Hashable | None, str, bool, bool]] = []
        self.placeholders: list[tuple[str, CodeLocation]] = []
        self.unmodelled: set[str] = set()
        self.live_bytes = 0
        self.peak_bytes = 0
        self.is_open = True
        self.num_alive = 0
        self._lock = threading.RLock()  # an allocation may trigger a garbage collection that frees another
        self._holders: dict[_Place | None, _Holder] = {}
        self._held_at_peak: dict[_Place | None, int] = {}
        self._is_at_peak = False
        self._locations: dict[_Place | None, CodeLocation] = {}
        self._all_cells: list[dict[tuple[Hashable | None, str], Cell]] = []
        self.thread = _Thread(self._all_cells.append)

    def cell(self) -> Cell:
        """Return the counts of the current phase and module."""
        thread = self.thread
        key = (self.phase, thread.module)
        found = thread.cells.get(key)
        if found is None:
            found = thread.cells[key] = Cell(self.live_bytes)
        return found

    def close(self) -> None:
        """Stop counting: memory that is released later is ignored."""
        with self._lock:
            self._remember_peak()
            self.is_open = False

    def allocate(self, nbytes: int, *, has_data: bool) -> Allocation:
        """Allocate memory for a storage of `nbytes`; `has_data` is whether its values are kept."""
        nbytes = -(-nbytes // _BLOCK_BYTES) * _BLOCK_BYTES
        place = _users_place()
        holder = self._holders.get(place)
        if holder is None:
            holder = self._holders.setdefault(place, _Holder())
        cell = self.cell()
        cell.allocated_bytes += nbytes
        with self._lock:
            holder.nbytes += nbytes
            self.num_alive += 1
            self.live_bytes = live = self.live_bytes + nbytes
            if live > self.peak_bytes:
                self.peak_bytes = live
                self._is_at_peak = True
        cell.peak_memory_bytes = max(cell.peak_memory_bytes, live)
        return Allocation(self, nbytes, holder, has_data=has_data)

    def release(self, allocation: Allocation) -> None:
        """Count released memory."""
        nbytes = allocation.nbytes
        with self._lock:
            self.num_alive -= 1
            if not (self.is_open and nbytes):
                return
            if self._is_at_peak:
                self._remember_peak()
            self.live_bytes -= nbytes
            allocation.holder.nbytes -= nbytes

    def _remember_peak(self) -> None:
        """Record the holders when a peak ends, which is when memory is first released after it."""
        if self._is_at_peak:
            self._held_at_peak = self._held_now()
            self._is_at_peak = False

    def _held_now(self) -> dict[_Place | None, int]:
        holders = self._holders.copy().items()  # atomic, so no other thread can change it meanwhile
        return {place: holder.nbytes for place, holder in holders if holder.nbytes}

    def note_sync(self, kind: SyncKind, operation: str, *, is_reported: bool, count: int = 1) -> None:
        """Note `count` syncs at the running line of user code."""
        is_offload = moves_weights(sys._getframe(1))  # noqa: SLF001 - the only way to a frame without a traceback
        sync = (kind, operation, _users_place(), self.phase, self.thread.module, is_reported, is_offload)
        self._syncs.extend([sync] * count)

    @property
    def syncs(self) -> tuple[Sync, ...]:
        """Each sync, in order."""
        known = {sync: self._described(*sync) for sync in set(self._syncs)}
        return tuple(known[sync] for sync in self._syncs)

    def _described(  # noqa: PLR0913, PLR0917 - the fields of a noted sync
        self,
        kind: SyncKind,
        operation: str,
        place: _Place | None,
        phase: Hashable | None,
        module: str,
        is_reported: bool,  # noqa: FBT001
        is_offload: bool,  # noqa: FBT001
    ) -> Sync:
        return Sync(
            kind=kind,
            operation=operation,
            where=self._located(place),
            phase=phase,
            module=module,
            is_reported=is_reported,
            is_offload=is_offload,
        )

    def note_placeholders(self, operation: str) -> None:
        """Note that a placeholder was returned for a value that does not exist."""
        self.placeholders.append((operation, self._located(_users_place())))

    def users_line(self) -> CodeLocation:
        """Return the running line of user code."""
        return self._located(_users_place())

    def _located(self, place: _Place | None) -> CodeLocation:
        """Return the line of a place; cached, since many syncs share one line."""
        found = self._locations.get(place)
        if found is None:
            found = self._locations[place] = _location(place)
        return found

    def by_phase(self) -> dict[Hashable, Counts]:
        """Return the counts of each phase, in order of appearance; None is outside every phase."""
        return _summed((phase, cell) for (phase, _), cell in self._cells())

    def by_module(self) -> dict[str, Counts]:
        """Return the counts of each module, without those of the modules that it calls."""
        return _summed((module, cell) for (_, module), cell in self._cells())

    def total(self) -> Counts:
        """Return the total counts."""
        return sum((cell.counts() for _, cell in self._cells()), Counts())

    def operations(self) -> int:
        """Return the number of operations so far, on all threads."""
        return sum(cell.operations for cells in self._all_cells for cell in list(cells.values()))

    def peak_holders(self) -> tuple[tuple[CodeLocation, int], ...]:
        """Return the lines that held memory at the peak, with their bytes, the largest first."""
        self._remember_peak()
        return self._by_line(self._held_at_peak)

    def live_holders(self) -> tuple[tuple[CodeLocation, int], ...]:
        """Return the lines whose memory is allocated now, with their bytes, the largest first."""
        return self._by_line(self._held_now())

    def _by_line(self, held: dict[_Place | None, int]) -> tuple[tuple[CodeLocation, int], ...]:
        holders: dict[CodeLocation, int] = {}
        for place, nbytes in held.items():
            where = self._located(place)
            holders[where] = holders.get(where, 0) + nbytes
        return tuple(sorted(holders.items(), key=lambda holder: -holder[1]))

    def _cells(self) -> Iterable[tuple[tuple[Hashable | None, str], Cell]]:
        return (item for cells in self._all_cells for item in cells.items())


def _summed(cells: Iterable[tuple[_Key, Cell]]) -> dict[_Key, Counts]:
    sums: dict[_Key, Counts] = {}
    for key, cell in cells:
        sums[key] = sums.get(key, Counts()) + cell.counts()
    return sums
