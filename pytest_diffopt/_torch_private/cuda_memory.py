"""Memory of CUDA that belongs to no tensor, and memory pools."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from pytest_diffopt._torch_private.storages import storage_address

#: The caching allocator rounds each allocation up to a multiple of this.
_ROUNDED_TO = 512


def release_library_workspaces() -> None:
    """Free the workspaces of cuBLAS, which keeps one for the process from its first call on."""
    if torch.cuda.is_initialized():
        torch._C._cuda_clearCublasWorkspaces()


@contextmanager
def memory_pool_of_its_own(device_type: str) -> Iterator[None]:
    """Have this thread allocate from a new pool in the block: what others have reserved serves it nothing.

    Only CUDA has pools; on another device the block allocates as always.
    """
    if device_type != "cuda" or not torch.cuda.is_initialized():
        yield
        return
    with torch.cuda.use_mem_pool(torch.cuda.MemPool()):
        yield


def allocated_bytes(tensor: torch.Tensor) -> tuple[int, int]:
    """Return the identity of a tensor's storage, and the bytes that the caching allocator gave to it."""
    num_bytes = tensor.untyped_storage().nbytes()
    return storage_address(tensor), -(-num_bytes // _ROUNDED_TO) * _ROUNDED_TO
