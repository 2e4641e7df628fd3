"""CUDA's caching allocator: which blocks it hands out, and what it reserves; `c10/cuda/CUDACachingAllocator.cpp`.

Only the arithmetic: there is no memory. One stream, the default configuration (`PYTORCH_CUDA_ALLOC_CONF` unset), and no
limit of the GPU's memory.
"""

from bisect import bisect_left, insort

_MIB = 2**20
_SMALLEST_BLOCK = 512  # kMinBlockSize: every block is a multiple of it
_LARGEST_SMALL = _MIB  # kSmallSize: larger requests come from the pool of large blocks
_SMALL_SEGMENT = 2 * _MIB  # kSmallBuffer
_LARGE_SEGMENT = 20 * _MIB  # kLargeBuffer
_SMALLEST_OWN_SEGMENT = 10 * _MIB  # kMinLargeAlloc: such a request gets a segment of its own
_SEGMENT_MULTIPLE = 2 * _MIB  # kRoundLarge


def rounded(nbytes: int) -> int:
    """Return the bytes that a request takes at least: `round_size`; 0 for an empty tensor, which takes no block."""
    return -(-nbytes // _SMALLEST_BLOCK) * _SMALLEST_BLOCK


class Block:
    """A part of a segment, which is allocated or free.

    Attributes:
        start: its address; segments follow one another.
        nbytes: its size.
        is_small: whether it is of the pool of small blocks.
        is_free: whether it is cached.
        before: the block before it in the segment, or None.
        after: the block after it in the segment, or None.
    """

    __slots__ = ("after", "before", "is_free", "is_small", "nbytes", "start")

    def __init__(self, start: int, nbytes: int, *, is_small: bool) -> None:
        self.start = start
        self.nbytes = nbytes
        self.is_small = is_small
        self.is_free = False
        self.before: Block | None = None
        self.after: Block | None = None


class CachingAllocator:
    """Hands out blocks, splits and merges them, and counts what it reserves.

    Attributes:
        reserved_bytes: the bytes of all segments.
        peak_reserved_bytes: the most bytes that were reserved at one moment.
    """

    def __init__(self) -> None:
        self.reserved_bytes = 0
        self.peak_reserved_bytes = 0
        self._next_address = 0
        # Free blocks of each pool, as (size, address) in the order in which the allocator prefers them.
        self._free: dict[bool, list[tuple[int, int]]] = {True: [], False: []}
        self._at: dict[int, Block] = {}  # the free blocks by address

    def allocate(self, nbytes: int) -> Block:
        """Return a block of at least `nbytes`; its size is what the allocator counts as allocated."""
        size = rounded(nbytes)
        is_small = size <= _LARGEST_SMALL
        block = self._best_fit(size, is_small=is_small) or self._new_segment(size, is_small=is_small)
        rest = block.nbytes - size
        if rest >= _SMALLEST_BLOCK if is_small else rest > _LARGEST_SMALL:
            self._split(block, size)
        return block

    def free(self, block: Block) -> None:
        """Take a block back, and merge it with its free neighbors."""
        before, after = block.before, block.after
        if before is not None and before.is_free:
            self._remove(before)
            block.start, block.nbytes, block.before = before.start, before.nbytes + block.nbytes, before.before
            if block.before is not None:
                block.before.after = block
        if after is not None and after.is_free:
            self._remove(after)
            block.nbytes, block.after = block.nbytes + after.nbytes, after.after
            if block.after is not None:
                block.after.before = block
        self._insert(block)

    def release_cached(self) -> int:
        """Release the segments without an allocated block, as `torch.cuda.empty_cache()` does; return their bytes."""
        whole = [block for block in self._at.values() if block.before is None and block.after is None]
        for block in whole:
            self._remove(block)
        released = sum(block.nbytes for block in whole)
        self.reserved_bytes -= released
        return released

    def _best_fit(self, size: int, *, is_small: bool) -> Block | None:
        """Return the smallest free block that is large enough, of equal ones that with the lowest address."""
        free = self._free[is_small]
        position = bisect_left(free, (size, -1))
        if position == len(free):
            return None
        _, start = free.pop(position)
        block = self._at.pop(start)
        block.is_free = False
        return block

    def _new_segment(self, size: int, *, is_small: bool) -> Block:
        segment = _segment_bytes(size)
        block = Block(self._next_address, segment, is_small=is_small)
        self._next_address += segment
        self.reserved_bytes += segment
        self.peak_reserved_bytes = max(self.peak_reserved_bytes, self.reserved_bytes)
        return block

    def _split(self, block: Block, size: int) -> None:
        rest = Block(block.start + size, block.nbytes - size, is_small=block.is_small)
        rest.before, rest.after = block, block.after
        if rest.after is not None:
            rest.after.before = rest
        block.nbytes, block.after = size, rest
        self._insert(rest)

    def _insert(self, block: Block) -> None:
        block.is_free = True
        self._at[block.start] = block
        insort(self._free[block.is_small], (block.nbytes, block.start))

    def _remove(self, block: Block) -> None:
        block.is_free = False
        del self._at[block.start]
        free = self._free[block.is_small]
        del free[bisect_left(free, (block.nbytes, block.start))]


def _segment_bytes(size: int) -> int:
    """Return the size of a new segment: `get_allocation_size`."""
    if size <= _LARGEST_SMALL:
        return _SMALL_SEGMENT
    if size < _SMALLEST_OWN_SEGMENT:
        return _LARGE_SEGMENT
    return -(-size // _SEGMENT_MULTIPLE) * _SEGMENT_MULTIPLE
