"""Pinned host memory, which a machine without CUDA does not have: the simulation marks tensors as pinned."""

from weakref import WeakValueDictionary

import torch

from pytest_diffopt._torch_private.storages import lazy_clone, storage_address

# Storages by address. A storage's Python object exists as long as the storage.
_LARGE_BYTES = 64 * 1024  # from this size, a copy shares memory until either side is written to
_pinned: WeakValueDictionary[int, torch.UntypedStorage] = WeakValueDictionary()


def pin(tensor: torch.Tensor) -> torch.Tensor:
    """Return a copy of a host tensor that is marked as pinned, or the tensor itself if it is marked already."""
    if is_pinned(tensor):
        return tensor
    shared = lazy_clone(tensor) if tensor.nbytes >= _LARGE_BYTES else None
    copy = tensor.clone() if shared is None else shared
    mark_pinned(copy)
    return copy


def mark_pinned(tensor: torch.Tensor) -> None:
    """Mark a host tensor as pinned."""
    _pinned[storage_address(tensor)] = tensor.untyped_storage()


def is_pinned(tensor: torch.Tensor) -> bool:
    """Return whether a host tensor is marked as pinned."""
    return tensor.device.type == "cpu" and storage_address(tensor) in _pinned
