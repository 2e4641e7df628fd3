"""Storages of tensors: identity, sharing and copy-on-write; and the identity of generators."""

import torch

_TENSOR_AND_PYTHON = 2  # references to an unshared storage: its tensor's, and Python's


def storage_address(tensor: torch.Tensor) -> int:
    """Return the address of a tensor's storage, its only identity."""
    return int(tensor.untyped_storage()._cdata)


def has_unshared_storage(tensor: torch.Tensor) -> bool:
    """Return whether no other tensor uses a tensor's storage."""
    return bool(torch._C._storage_Use_Count(storage_address(tensor)) == _TENSOR_AND_PYTHON)


def version_of(tensor: torch.Tensor) -> int | None:
    """Return how often a tensor and its views have been changed in place; None where torch does not count it."""
    return None if tensor.is_inference() else tensor._version


def lazy_clone(tensor: torch.Tensor) -> torch.Tensor | None:
    """Return a clone that shares memory until either side is written to; None if torch cannot share it.

    Torch cannot share memory that it did not allocate: a mapped file, a NumPy array. A tensor that uses only a part of
    its storage is not shared either.
    """
    if tensor.untyped_storage().nbytes() != tensor.nbytes:
        return None
    try:
        return torch._lazy_clone(tensor)
    except RuntimeError:
        return None


def generator_address(generator: torch.Generator) -> int:
    """Return the address of a generator, which stays the same when torch passes the generator through C++."""
    return int(generator._cdata)  # type: ignore[attr-defined]
