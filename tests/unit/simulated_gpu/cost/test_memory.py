"""The simulated memory is that of CUDA's caching allocator: blocks, workspace, and what is reserved."""

import gc

import pytest
import torch
from torch.nn import functional

from pytest_diffopt.simulated_gpu import SimulatedGPU

MIB = 2**20
HOPPER_WORKSPACE = 32 * MIB


def test_peak_counts_what_a_block_leaves_unsplit() -> None:
    """A tensor of 10 MiB in a free block of 11 MiB takes 11 MiB, as in `torch.cuda.memory_allocated()`."""
    with SimulatedGPU() as gpu:
        nine = torch.empty(9 * MIB, dtype=torch.uint8, device=gpu.device)
        ten = torch.empty(10 * MIB, dtype=torch.uint8, device=gpu.device)

        assert gpu.live_memory_bytes == 20 * MIB
        assert gpu.live_tensor_bytes == nine.nbytes + ten.nbytes
        assert gpu.reserved_memory_bytes == 20 * MIB
        del nine, ten
        assert gpu.live_memory_bytes == gpu.live_tensor_bytes == 0
    assert gpu.peak_memory_bytes == sum(nbytes for _, nbytes in gpu.peak_holders) == 20 * MIB


def test_equal_tensors_take_equal_bytes_in_holders_that_live() -> None:
    """What holds memory now is listed by tensors, so that equal calls leave equal bytes wherever their blocks are."""
    with SimulatedGPU() as gpu:
        kept = [torch.empty(10 * MIB, dtype=torch.uint8, device=gpu.device) for _ in range(2)]

        assert sum(nbytes for _, nbytes in gpu.live_holders) == sum(one.nbytes for one in kept)


@pytest.mark.parametrize(
    ("gpu_model", "expected"),
    [("nvidia-h200", 32 * MIB), ("nvidia-b200", 32 * MIB), ("nvidia-l4", 8 * MIB + 128 * 1024)],
)
def test_first_product_takes_the_workspace(gpu_model: str, expected: int) -> None:
    """Torch allocates cuBLAS' workspace once and keeps it: it is reserved, and beside the tensors' peak."""
    with SimulatedGPU(gpu_model) as gpu, torch.no_grad():
        x = torch.ones(8, 8, device=gpu.device)
        before = gpu.peak_memory_bytes

        assert gpu.workspace_bytes == 0
        functional.linear(x, x)
        x @ x
        assert gpu.workspace_bytes == expected
        assert gpu.peak_memory_bytes == before + 512
        assert gpu.reserved_memory_bytes >= expected


def test_device_module_reports_memory_as_torch_cuda_does() -> None:
    """`memory_allocated` includes the workspace, `empty_cache` lowers what is reserved."""
    with SimulatedGPU() as gpu, torch.no_grad():
        module = torch.get_device_module(gpu.device)
        x = torch.ones(8, 8, device=gpu.device)
        x @ x
        torch.empty(40 * MIB, dtype=torch.uint8, device=gpu.device)

        assert module.memory_allocated() == 512 + HOPPER_WORKSPACE
        assert module.max_memory_allocated() == 512 + HOPPER_WORKSPACE + 40 * MIB
        assert module.memory_reserved() == module.max_memory_reserved() == 2 * MIB + HOPPER_WORKSPACE + 40 * MIB
        module.empty_cache()
        assert module.memory_reserved() == 2 * MIB + HOPPER_WORKSPACE
        assert module.max_memory_reserved() == gpu.peak_reserved_memory_bytes == 42 * MIB + HOPPER_WORKSPACE


def test_empty_cache_synchronizes_only_if_it_frees_memory() -> None:
    """`cudaFree` waits for the device; the sync debug mode does not report it."""
    with SimulatedGPU() as gpu:
        module = torch.get_device_module(gpu.device)
        module.empty_cache()
        assert not gpu.syncs
        torch.empty(40 * MIB, dtype=torch.uint8, device=gpu.device)
        module.empty_cache()
        module.empty_cache()

    assert [(sync.operation, sync.is_reported) for sync in gpu.syncs] == [("torch.cuda.empty_cache", False)]


def test_memory_that_a_garbage_collection_releases_meanwhile_is_given_back() -> None:
    """A collection may run while the allocator is at work; nothing is lost, counted twice or handed out twice."""
    threshold = gc.get_threshold()
    with SimulatedGPU() as gpu:
        gc.set_threshold(1)
        try:
            for size in range(1, 400):
                cycle: list[object] = [torch.empty(size * 4096, dtype=torch.uint8, device=gpu.device)]
                cycle.append(cycle)
            del cycle
            gc.collect()
        finally:
            gc.set_threshold(*threshold)

        assert gpu.live_memory_bytes == gpu.live_tensor_bytes == 0
        reserved = gpu.reserved_memory_bytes
        torch.get_device_module(gpu.device).empty_cache()
        assert reserved > 0
        assert gpu.reserved_memory_bytes == 0
