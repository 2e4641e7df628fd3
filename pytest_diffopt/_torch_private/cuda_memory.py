"""Memory of CUDA that belongs to no tensor, and memory pools."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from pytest_diffopt._torch_private.storages import storage_address

#: The caching allocator rounds each allocation up to a multiple of this.
_ROUNDED_TO = 512


def release_library_workspaces() -> None:
    """Free the workspaces of cuBLAS, which keeps one for the process from its first call on."""
    if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        torch._C._cuda_clearCublasWorkspaces()


@contextmanager
def memory_pool_of_its_own(device_type: str) -> Iterator[None]:
    """Have this thread allocate from a new pool in the block: what others have reserved serves it nothing.

    Only CUDA has pools; on another device the block allocates as always.
    """
    if device_type != "cuda" or not torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        yield
        return
    with torch.cuda.use_mem_pool(torch.cuda.MemPool()):
        yield


#: A storage that is alive: its address, that of its memory, and its size. Addresses of dead storages are used again.
Allocation = tuple[int, int, int]


def allocation_of(tensor: torch.Tensor) -> tuple[Allocation, int]:
    """Return the identity of a tensor's storage, and the bytes that the caching allocator gave to it."""
    storage = tensor.untyped_storage()
    num_bytes = storage.nbytes()
    allocated = -(-num_bytes // _ROUNDED_TO) * _ROUNDED_TO
    return (storage_address(tensor), storage.data_ptr(), num_bytes), allocated
