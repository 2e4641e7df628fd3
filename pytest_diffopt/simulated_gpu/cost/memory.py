"""The memory that tensors hold, in the blocks of CUDA's caching allocator, and the lines of code that hold it."""

import threading
from collections.abc import Iterable
from typing import Any, Protocol

from pytest_diffopt.simulated_gpu.cost.caching_allocator import Block, CachingAllocator, rounded
from pytest_diffopt.simulated_gpu.cost.places import Place


class _Ledger(Protocol):
    memory: "Memory"

    @property
    def is_open(self) -> bool:
        """Whether it still counts."""


class Allocation:
    """Memory of the GPU, shared by a tensor and its views and released with the last of them.

    Attributes:
        ledger: counts it.
        nbytes: its size, rounded up to a multiple of the allocator's smallest block.
        block: what the allocator handed out, which may be larger; None for an empty tensor.
        holder: the line of user code that allocated it.
        has_data: whether the values in it are known.
        origin: the copied host tensor and its version, while values that are not kept here are equal to its values.
    """

    __slots__ = ("block", "has_data", "holder", "ledger", "nbytes", "origin")

    def __init__(self, ledger: Any, nbytes: int, block: Block | None, holder: "_Holder", *, has_data: bool) -> None:
        self.ledger = ledger
        self.nbytes = nbytes
        self.block = block
        self.holder = holder
        self.has_data = has_data
        self.origin: tuple[Any, int | None] | None = None

    def __del__(self) -> None:
        self.ledger.memory.release(self.nbytes, self.block, self.holder)


class _Holder:
    """What one line of user code allocated and still holds: the bytes of its tensors, and of their blocks."""

    __slots__ = ("block_bytes", "tensor_bytes")

    def __init__(self) -> None:
        self.tensor_bytes = 0
        self.block_bytes = 0


class Memory:
    """Counts the memory of one simulated GPU.

    Attributes:
        live_bytes: bytes that are allocated now, as the caching allocator counts them: by the blocks it handed out.
        live_tensor_bytes: the same by tensors; unlike blocks, equal tensors always take equal bytes.
        peak_bytes: the most bytes that were allocated at one moment, by blocks.
        workspace_bytes: what cuBLAS took for its workspace; it is reserved, and in no other figure.
        is_open: whether it still counts.
        num_alive: number of allocations that are not released; it is counted after the end too.
    """

    def __init__(self) -> None:
        self.live_bytes = 0
        self.live_tensor_bytes = 0
        self.peak_bytes = 0
        self.workspace_bytes = 0
        self.is_open = True
        self.num_alive = 0
        self._allocator = CachingAllocator()
        self._lock = threading.RLock()  # an allocation may trigger a garbage collection that releases another
        self._is_busy = False
        self._released: list[tuple[int, Block, _Holder]] = []
        self._holders: dict[Place | None, _Holder] = {}
        self._held_at_peak: dict[Place | None, int] = {}
        self._is_at_peak = False

    @property
    def reserved_bytes(self) -> int:
        """Bytes that the allocator has reserved now."""
        return self._allocator.reserved_bytes

    @property
    def peak_reserved_bytes(self) -> int:
        """The most bytes that the allocator had reserved at one moment."""
        return self._allocator.peak_reserved_bytes

    def allocate(self, ledger: _Ledger, nbytes: int, place: Place | None, *, has_data: bool) -> tuple[Allocation, int]:
        """Allocate memory for a storage of `nbytes`; return it, and what is allocated with it."""
        nbytes = rounded(nbytes)
        with self._lock:
            self.num_alive += 1
            holder = self._holders.get(place)
            if holder is None:
                holder = self._holders[place] = _Holder()
            block = self._take(nbytes) if nbytes else None
            if block is not None:
                self._count(holder, nbytes, block.nbytes)
            live_bytes = self.live_bytes
            if live_bytes > self.peak_bytes:
                self.peak_bytes = live_bytes
                self._is_at_peak = True
        return Allocation(ledger, nbytes, block, holder, has_data=has_data), live_bytes

    def release(self, nbytes: int, block: Block | None, holder: _Holder) -> None:
        """Release memory; what a garbage collection releases while the allocator is at work is released after it."""
        with self._lock:
            self.num_alive -= 1
            if self.is_open and block is not None:
                self._released.append((nbytes, block, holder))
                self._give_back()

    def take_workspace(self, nbytes: int) -> None:
        """Let cuBLAS take its workspace, once; torch never releases it."""
        if not self.workspace_bytes:
            with self._lock:
                self.workspace_bytes = self._take(nbytes).nbytes

    def release_cached(self) -> int:
        """Release what the allocator has cached, as `torch.cuda.empty_cache()` does; return the bytes."""
        with self._lock:
            return self._allocator.release_cached()

    def close(self) -> None:
        """Stop counting: memory that is released later is ignored."""
        with self._lock:
            self._remember_peak()
            self.is_open = False

    def held_at_peak(self) -> dict[Place | None, int]:
        """Return the bytes of the blocks that each line held at the peak; their sum is the peak."""
        with self._lock:
            self._remember_peak()
        return self._held_at_peak

    def held_by_tensors(self) -> dict[Place | None, int]:
        """Return the bytes of the tensors that each line holds now."""
        return {place: holder.tensor_bytes for place, holder in self._holding() if holder.tensor_bytes}

    def _take(self, nbytes: int) -> Block:
        self._is_busy = True
        try:
            return self._allocator.allocate(nbytes)
        finally:
            self._is_busy = False
            self._give_back()

    def _give_back(self) -> None:
        while self._released and not self._is_busy:
            nbytes, block, holder = self._released.pop()
            if self._is_at_peak:
                self._remember_peak()
            self._count(holder, -nbytes, -block.nbytes)
            self._is_busy = True
            try:
                self._allocator.free(block)
            finally:
                self._is_busy = False

    def _count(self, holder: _Holder, tensor_bytes: int, block_bytes: int) -> None:
        holder.tensor_bytes += tensor_bytes
        holder.block_bytes += block_bytes
        self.live_tensor_bytes += tensor_bytes
        self.live_bytes += block_bytes

    def _remember_peak(self) -> None:
        """Record the holders when a peak ends, which is when memory is first released after it."""
        if self._is_at_peak:
            self._held_at_peak = {place: one.block_bytes for place, one in self._holding() if one.block_bytes}
            self._is_at_peak = False

    def _holding(self) -> Iterable[tuple[Place | None, _Holder]]:
        return self._holders.copy().items()  # atomic, so no other thread can change it meanwhile
