"""The blocks of CUDA's caching allocator, by its rules; a test on the null GPU compares them with torch's own."""

import pytest

from pytest_diffopt.simulated_gpu.cost.caching_allocator import CachingAllocator, rounded

KIB, MIB = 2**10, 2**20


@pytest.mark.parametrize(("nbytes", "expected"), [(0, 0), (1, 512), (512, 512), (513, 1024), (MIB + 1, MIB + 512)])
def test_requests_are_multiples_of_512_bytes(nbytes: int, expected: int) -> None:
    """As `round_size` does."""
    assert rounded(nbytes) == expected


@pytest.mark.parametrize(
    ("nbytes", "reserved"),
    [
        (1, 2 * MIB),
        (MIB, 2 * MIB),
        (MIB + 1, 20 * MIB),
        (10 * MIB - 512, 20 * MIB),
        (10 * MIB, 10 * MIB),
        (11 * MIB, 12 * MIB),
    ],
)
def test_segments(nbytes: int, reserved: int) -> None:
    """Small blocks come from segments of 2 MiB, larger ones from 20 MiB, and large ones have their own."""
    allocator = CachingAllocator()
    allocator.allocate(nbytes)

    assert allocator.reserved_bytes == allocator.peak_reserved_bytes == reserved


def test_small_block_is_always_split() -> None:
    """The rest of 512 bytes or more is free for the next request."""
    allocator = CachingAllocator()

    assert [allocator.allocate(one).nbytes for one in (MIB, MIB - 512, 1)] == [MIB, MIB - 512, 512]
    assert allocator.reserved_bytes == 2 * MIB


def test_large_block_is_split_only_above_one_mib() -> None:
    """A rest of 1 MiB stays with the block, and is counted as allocated."""
    allocator = CachingAllocator()
    first, second = (allocator.allocate(one) for one in (9 * MIB, 10 * MIB - 512))

    assert (first.nbytes, second.nbytes) == (9 * MIB, 10 * MIB - 512)  # the rest is 1 MiB and 512 bytes
    allocator.free(second)
    assert allocator.allocate(10 * MIB).nbytes == 11 * MIB
    assert allocator.reserved_bytes == 20 * MIB


def test_smallest_sufficient_block_is_reused() -> None:
    """Best fit: of two free blocks the smaller one, of equal ones that with the lower address."""
    allocator = CachingAllocator()
    first, second, third = (allocator.allocate(one * MIB) for one in (14, 12, 12))
    for block in (first, third, second):
        allocator.free(block)

    assert allocator.allocate(12 * MIB).start == second.start
    assert allocator.allocate(12 * MIB).start == third.start
    assert allocator.reserved_bytes == 38 * MIB


def test_free_neighbors_are_merged() -> None:
    """Freed in any order, the parts of a segment are one block again."""
    allocator = CachingAllocator()
    blocks = [allocator.allocate(512 * KIB) for _ in range(4)]
    for position in (0, 2, 1, 3):
        allocator.free(blocks[position])

    assert allocator.allocate(MIB).nbytes == MIB
    assert allocator.release_cached() == 0
    assert allocator.reserved_bytes == 2 * MIB


def test_only_whole_segments_are_released() -> None:
    """`empty_cache` returns the segments without an allocated block; the peak of the reserved bytes stays."""
    allocator = CachingAllocator()
    kept, released = allocator.allocate(11 * MIB), allocator.allocate(30 * MIB)
    allocator.free(released)

    assert allocator.release_cached() == 30 * MIB
    assert allocator.reserved_bytes == 12 * MIB
    assert allocator.peak_reserved_bytes == 42 * MIB
    allocator.free(kept)
    assert allocator.release_cached() == 12 * MIB
