"""Counts of a simulated GPU: syncs, work, bytes over the bus and memory, each by phase and by module."""

import sys
import threading
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

import torch

from pytest_diffopt._torch_private.flop_formulas import Flops
from pytest_diffopt.records.code_location import CodeLocation, moves_weights
from pytest_diffopt.simulated_gpu.cost.launches import launches_of
from pytest_diffopt.simulated_gpu.cost.memory import Allocation, Memory
from pytest_diffopt.simulated_gpu.cost.places import Place, location, users_place
from pytest_diffopt.simulated_gpu.observations import Counts, Sync, SyncKind

_Key = TypeVar("_Key", bound=Hashable)


class Cell:
    """Running counts of one module in one phase."""

    __slots__ = (
        "allocated_bytes", "bytes_to_device", "bytes_to_host", "flops", "launches", "least_flops",
        "least_written_bytes", "operations", "peak_memory_bytes",
    )  # fmt: skip

    def __init__(self, live_bytes: int) -> None:
        self.flops = self.operations = self.launches = 0
        self.bytes_to_device = self.bytes_to_host = self.allocated_bytes = self.least_written_bytes = 0
        self.least_flops: dict[torch.dtype | None, int] = {}
        self.peak_memory_bytes = live_bytes

    def add_operation(self, full_name: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
        """Count an operation, and what it launches."""
        self.operations += 1
        self.launches += launches_of(full_name, args, kwargs)

    def add_kernel(self) -> None:
        """Count an operation that is one kernel or library call."""
        self.operations += 1
        self.launches += 1

    def add_flops(self, flops: Flops, dtype: torch.dtype | None) -> None:
        """Count the FLOPs of an operation on operands of a dtype; None if it is not known."""
        self.flops += flops.counted
        self.least_flops[dtype] = self.least_flops.get(dtype, 0) + flops.least

    def counts(self) -> Counts:
        """Return the counts so far."""
        numbers = {name: getattr(self, name) for name in self.__slots__ if name != "least_flops"}
        named = {str(dtype).removeprefix("torch."): flops for dtype, flops in self.least_flops.items()}
        return Counts(least_flops=dict(sorted(named.items())), **numbers)


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
        memory: the memory that tensors hold.
        workspace_bytes: what cuBLAS takes at the first matrix product.
        l2_bytes: what the GPU's L2 cache holds, and need not be written to its memory.
        thread: the state of the calling thread.
    """

    def __init__(self, *, workspace_bytes: int = 0, l2_bytes: int = 0) -> None:
        self.workspace_bytes = workspace_bytes
        self.l2_bytes = l2_bytes
        self.phase: Hashable | None = None
        # Lines of code are looked up when syncs are read: a loop synchronizes at the same place many times.
        self._syncs: list[tuple[SyncKind, str, Place | None, Hashable | None, str, bool, bool]] = []
        self.placeholders: list[tuple[str, CodeLocation]] = []
        self.unmodelled: set[str] = set()
        self.memory = Memory()
        self._locations: dict[Place | None, CodeLocation] = {}
        self._all_cells: list[dict[tuple[Hashable | None, str], Cell]] = []
        self.thread = _Thread(self._all_cells.append)

    def note_product(self) -> None:
        """Note that cuBLAS runs, which takes its workspace at the first time."""
        if not self.memory.workspace_bytes:
            self.memory.take_workspace(self.workspace_bytes)

    def cell(self) -> Cell:
        """Return the counts of the current phase and module."""
        thread = self.thread
        key = (self.phase, thread.module)
        found = thread.cells.get(key)
        if found is None:
            found = thread.cells[key] = Cell(self.memory.live_bytes)
        return found

    @property
    def is_open(self) -> bool:
        """Whether it still counts."""
        return self.memory.is_open

    def close(self) -> None:
        """Stop counting: memory that is released later is ignored."""
        self.memory.close()

    def allocate(self, nbytes: int, *, has_data: bool, is_written: bool = True) -> Allocation:
        """Allocate memory for a storage of `nbytes`.

        Args:
            nbytes: its size.
            has_data: whether its values are kept.
            is_written: whether an operation writes all of it as its result.
        """
        cell = self.cell()
        allocation, live_bytes = self.memory.allocate(self, nbytes, users_place(), has_data=has_data)
        cell.allocated_bytes += allocation.nbytes
        if is_written and nbytes > self.l2_bytes and not torch.compiler.is_compiling():
            cell.least_written_bytes += nbytes - self.l2_bytes
        cell.peak_memory_bytes = max(cell.peak_memory_bytes, live_bytes)
        return allocation

    def note_sync(self, kind: SyncKind, operation: str, *, is_reported: bool, count: int = 1) -> None:
        """Note `count` syncs at the running line of user code."""
        is_offload = moves_weights(sys._getframe(1))  # noqa: SLF001 - the only way to a frame without a traceback
        sync = (kind, operation, users_place(), self.phase, self.thread.module, is_reported, is_offload)
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
        place: Place | None,
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
        self.placeholders.append((operation, self._located(users_place())))

    def users_line(self) -> CodeLocation:
        """Return the running line of user code."""
        return self._located(users_place())

    def _located(self, place: Place | None) -> CodeLocation:
        """Return the line of a place; cached, since many syncs share one line."""
        found = self._locations.get(place)
        if found is None:
            found = self._locations[place] = location(place)
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
        return self._by_line(self.memory.held_at_peak())

    def live_holders(self) -> tuple[tuple[CodeLocation, int], ...]:
        """Return the lines whose tensors are allocated now, with their bytes, the largest first."""
        return self._by_line(self.memory.held_by_tensors())

    def _by_line(self, held: dict[Place | None, int]) -> tuple[tuple[CodeLocation, int], ...]:
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
