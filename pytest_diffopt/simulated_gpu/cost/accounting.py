"""What a simulated GPU counts: work, bytes over the bus and memory, each by phase and by module."""

import sys
import threading
from collections.abc import Callable, Hashable, Iterable
from types import CodeType, FrameType
from typing import TypeVar

from pytest_diffopt.records.code_location import UNKNOWN_LOCATION, CodeLocation, is_machinery, locate
from pytest_diffopt.simulated_gpu.observations import Counts, Sync, SyncKind

# CUDACachingAllocator::kMinBlockSize: every allocation is a multiple of it, and `memory_allocated` says so.
_BLOCK_BYTES = 512

_Key = TypeVar("_Key", bound=Hashable)

# A line of code while it runs: the identity of its code object and the offset of its instruction. Cheap to take (code
# objects are slow to hash, line numbers slow to look up), turned into a CodeLocation only when somebody asks.
_Place = tuple[int, int]
_codes: dict[int, CodeType] = {}  # kept alive, so that an identity stays the code's own
_machinery: dict[str, bool] = {}


def _users_place() -> _Place | None:
    """Return the innermost line of user code that runs now; those who ask are two calls away from it at least."""
    frame: FrameType | None = sys._getframe(3)  # noqa: SLF001 - CPython's own way to a frame without a traceback
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
    """The figures of one module in one phase, still growing."""

    __slots__ = ("allocated_bytes", "bytes_to_device", "bytes_to_host", "flops", "operations", "peak_memory_bytes")

    def __init__(self, live_bytes: int) -> None:
        self.flops = self.operations = self.bytes_to_device = self.bytes_to_host = self.allocated_bytes = 0
        self.peak_memory_bytes = live_bytes

    def counts(self) -> Counts:
        """Return the figures so far."""
        return Counts(**{name: getattr(self, name) for name in self.__slots__})


class Allocation:
    """A piece of the GPU's memory that several tensors may look at; it is given back when the last of them dies."""

    __slots__ = ("has_data", "holder", "ledger", "nbytes")

    def __init__(self, ledger: "Ledger", nbytes: int, holder: "_Holder", *, has_data: bool) -> None:
        self.ledger = ledger
        self.nbytes = nbytes
        self.holder = holder
        self.has_data = has_data

    def __del__(self) -> None:
        if self.ledger.is_open:
            self.ledger.release(self)


class _Holder:
    """What one line of user code holds."""

    __slots__ = ("nbytes",)

    def __init__(self) -> None:
        self.nbytes = 0


class _Thread(threading.local):
    """Where one thread is, and what it has counted: threads never write to one another's figures."""

    def __init__(self, register: Callable[[dict[tuple[Hashable | None, str], Cell]], None]) -> None:
        self.module = ""
        self.cells: dict[tuple[Hashable | None, str], Cell] = {}
        register(self.cells)


class Ledger:
    """Everything that is counted between entering and leaving one simulated GPU."""

    def __init__(self) -> None:
        self.phase: Hashable | None = None
        # Lines of code are looked up when somebody asks: a loop waits at the same place again and again.
        self._syncs: list[tuple[SyncKind, str, _Place | None, Hashable | None, str, bool]] = []
        self.placeholders: list[tuple[str, CodeLocation]] = []
        self.unmodelled: set[str] = set()
        self.live_bytes = 0
        self.peak_bytes = 0
        self.is_open = True
        self._lock = threading.RLock()  # an allocation may set off a collection that frees another
        self._holders: dict[_Place | None, _Holder] = {}
        self._held_at_peak: dict[_Place | None, int] = {}
        self._is_at_peak = False
        self._locations: dict[_Place | None, CodeLocation] = {}
        self._all_cells: list[dict[tuple[Hashable | None, str], Cell]] = []
        self.thread = _Thread(self._all_cells.append)

    def cell(self) -> Cell:
        """Return the figures that grow now: those of this phase and of the module that runs."""
        thread = self.thread
        key = (self.phase, thread.module)
        found = thread.cells.get(key)
        if found is None:
            found = thread.cells[key] = Cell(self.live_bytes)
        return found

    def close(self) -> None:
        """Stop counting: what dies later belongs to nobody's figures."""
        with self._lock:
            self._remember_peak()
            self.is_open = False

    def allocate(self, nbytes: int, *, has_data: bool) -> Allocation:
        """Take memory for a new storage of `nbytes`, and say whether its values are kept."""
        nbytes = -(-nbytes // _BLOCK_BYTES) * _BLOCK_BYTES
        place = _users_place()
        holder = self._holders.get(place)
        if holder is None:
            holder = self._holders.setdefault(place, _Holder())
        cell = self.cell()
        cell.allocated_bytes += nbytes
        with self._lock:
            holder.nbytes += nbytes
            self.live_bytes = live = self.live_bytes + nbytes
            if live > self.peak_bytes:
                self.peak_bytes = live
                self._is_at_peak = True
        cell.peak_memory_bytes = max(cell.peak_memory_bytes, live)
        return Allocation(self, nbytes, holder, has_data=has_data)

    def release(self, allocation: Allocation) -> None:
        """Count memory that was given back."""
        nbytes = allocation.nbytes
        with self._lock:
            if not (self.is_open and nbytes):
                return
            if self._is_at_peak:
                self._remember_peak()
            self.live_bytes -= nbytes
            allocation.holder.nbytes -= nbytes

    def _remember_peak(self) -> None:
        """Keep who holds what, once a peak ends: only then is it known to have been one."""
        if self._is_at_peak:
            holders = self._holders.copy().items()  # one step, which another thread cannot come into
            self._held_at_peak = {place: holder.nbytes for place, holder in holders if holder.nbytes}
            self._is_at_peak = False

    def note_sync(self, kind: SyncKind, operation: str, *, is_reported: bool, count: int = 1) -> None:
        """Note that the CPU waits here."""
        wait = (kind, operation, _users_place(), self.phase, self.thread.module, is_reported)
        self._syncs.extend([wait] * count)

    @property
    def syncs(self) -> tuple[Sync, ...]:
        """Each time the CPU waited, in order."""
        known = {wait: self._described(*wait) for wait in set(self._syncs)}
        return tuple(known[wait] for wait in self._syncs)

    def _described(  # noqa: PLR0913, PLR0917 - what tells one from another
        self,
        kind: SyncKind,
        operation: str,
        place: _Place | None,
        phase: Hashable | None,
        module: str,
        is_reported: bool,  # noqa: FBT001
    ) -> Sync:
        where = self._located(place)
        return Sync(kind=kind, operation=operation, where=where, phase=phase, module=module, is_reported=is_reported)

    def note_placeholders(self, operation: str) -> None:
        """Note that a value was given out that does not exist."""
        self.placeholders.append((operation, self._located(_users_place())))

    def users_line(self) -> CodeLocation:
        """Return the line of user code that runs now."""
        return self._located(_users_place())

    def _located(self, place: _Place | None) -> CodeLocation:
        """Return a line of code that is asked for again and again, as where every parameter is moved."""
        found = self._locations.get(place)
        if found is None:
            found = self._locations[place] = _location(place)
        return found

    def by_phase(self) -> dict[Hashable, Counts]:
        """Return the figures of each phase, in order of appearance; None is outside every phase."""
        return _summed((phase, cell) for (phase, _), cell in self._cells())

    def by_module(self) -> dict[str, Counts]:
        """Return the figures of each module, without those of the modules that it calls."""
        return _summed((module, cell) for (_, module), cell in self._cells())

    def total(self) -> Counts:
        """Return the figures of everything."""
        return sum((cell.counts() for _, cell in self._cells()), Counts())

    def peak_holders(self) -> tuple[tuple[CodeLocation, int], ...]:
        """Return the lines that held memory at the peak, with their bytes, the greatest first."""
        self._remember_peak()
        holders: dict[CodeLocation, int] = {}
        for place, nbytes in self._held_at_peak.items():
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
