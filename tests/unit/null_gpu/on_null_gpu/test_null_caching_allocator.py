"""The simulated GPU's caching allocator against torch's own, which runs on the null GPU."""

import random

import pytest
import torch

from pytest_diffopt.simulated_gpu.cost.caching_allocator import Block, CachingAllocator

_BITS = (9, 12, 16, 19, 20, 21, 22, 23, 24, 26)
_STEPS = 1500


def _size(draw: random.Random) -> int:
    bits = draw.choice(_BITS)
    return 2**bits if draw.random() < 0.3 else draw.randrange(1, 2**bits)


@pytest.mark.parametrize("seed", range(5))
def test_random_allocations_take_equal_bytes(seed: int) -> None:
    """Allocated and reserved bytes are equal after each of 1500 allocations and releases."""
    torch.cuda.empty_cache()
    assert torch.cuda.memory_reserved() == 0
    draw = random.Random(seed)  # noqa: S311 - sizes, not secrets
    simulated, allocated = CachingAllocator(), 0
    live: list[tuple[torch.Tensor, Block]] = []
    for _ in range(_STEPS):
        if live and draw.random() < 0.48:
            tensor, block = live.pop(draw.randrange(len(live)))
            del tensor
            allocated -= block.nbytes
            simulated.free(block)
        else:
            size = _size(draw)
            block = simulated.allocate(size)
            live.append((torch.empty(size, dtype=torch.uint8, device="cuda"), block))
            allocated += block.nbytes
        now = allocated, simulated.reserved_bytes
        assert now == (torch.cuda.memory_allocated(), torch.cuda.memory_reserved())
    live.clear()


@pytest.mark.parametrize(("nbytes", "cached"), [(30 * 2**20, 30 * 2**20), (2**20, 2 * 2**20)])
def test_empty_cache_releases_equal_bytes(nbytes: int, cached: int) -> None:
    """Whole segments are released."""
    torch.cuda.empty_cache()
    simulated = CachingAllocator()
    tensor = torch.empty(nbytes, dtype=torch.uint8, device="cuda")
    block = simulated.allocate(nbytes)
    del tensor
    simulated.free(block)

    assert torch.cuda.memory_reserved() == simulated.reserved_bytes == cached
    torch.cuda.empty_cache()
    assert simulated.release_cached() == cached
    assert torch.cuda.memory_reserved() == simulated.reserved_bytes == 0
