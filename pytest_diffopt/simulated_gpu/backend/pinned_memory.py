"""Pinned memory: host memory that the driver copies from and to by itself. A machine without CUDA has none."""

from weakref import WeakValueDictionary

import torch

# A storage's Python object lives as long as the storage, and its address is its only identity.
_pinned: WeakValueDictionary[int, torch.UntypedStorage] = WeakValueDictionary()


def pin(tensor: torch.Tensor) -> torch.Tensor:
    """Return a copy of a host tensor that counts as pinned, or the tensor itself if it does already."""
    if is_pinned(tensor):
        return tensor
    copy = tensor.clone()
    mark_pinned(copy)
    return copy


def mark_pinned(tensor: torch.Tensor) -> None:
    """Let a host tensor count as pinned."""
    storage = tensor.untyped_storage()
    _pinned[storage._cdata] = storage  # noqa: SLF001


def is_pinned(tensor: torch.Tensor) -> bool:
    """Tell whether a host tensor counts as pinned."""
    return tensor.device.type == "cpu" and tensor.untyped_storage()._cdata in _pinned  # noqa: SLF001
