"""The torch internals that the values need: host views of device memory, and the identity of storages."""

# ruff: noqa: SLF001 - it exists for that

import torch
from torch.multiprocessing.reductions import StorageWeakRef

# A weak reference to a storage.
WeakStorage = StorageWeakRef

_PYTHON = torch._C.DispatchKey.Python
_CPU = torch.device("cpu")
_PLAIN = (torch.Tensor, torch.nn.Parameter, torch.nn.Buffer)


def is_plain(tensor: torch.Tensor) -> bool:
    """Whether a tensor is memory of its own, and neither a fake tensor nor another wrapper."""
    return type(tensor) in _PLAIN or not torch._C._dispatch_keys(tensor).has(_PYTHON)


def host_view(tensor: torch.Tensor) -> torch.Tensor:
    """Return a CPU tensor over the same bytes as a CUDA tensor of the null GPU; it does not own them."""
    storage = tensor.untyped_storage()
    bytes_ = storage.nbytes()
    if bytes_ == 0:
        return torch.empty_strided(tensor.shape, tensor.stride(), dtype=tensor.dtype)
    host = torch._C._construct_storage_from_data_pointer(storage.data_ptr(), _CPU, bytes_)
    view = torch.empty(0, dtype=tensor.dtype, device=_CPU)
    view.set_(host, tensor.storage_offset(), tensor.shape, tensor.stride())
    if tensor.is_conj():
        view = view.conj()
    return view._neg_view() if tensor.is_neg() else view


def storage_key(tensor: torch.Tensor) -> int:
    """Return a number that identifies a tensor's storage among those that are alive or weakly referenced."""
    return int(tensor.untyped_storage()._cdata)


def weak_storage(tensor: torch.Tensor) -> WeakStorage:
    """Return a weak reference to a tensor's storage; its key is not given to another one meanwhile."""
    return WeakStorage(tensor.untyped_storage())  # type: ignore[no-untyped-call]


def has_expired(reference: WeakStorage) -> bool:
    """Whether a storage is gone."""
    return bool(reference.expired())  # type: ignore[no-untyped-call]
