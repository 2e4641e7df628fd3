"""Default tolerances of `torch.testing`, and the inner tensors of wrapper subclasses."""

import torch
from torch.testing._comparison import default_tolerances


def tolerances(dtype: torch.dtype) -> tuple[float, float]:
    """Return the default tolerances of `torch.testing` for a dtype: relative, absolute."""
    return default_tolerances(dtype)


def inner_dtypes(tensor: torch.Tensor) -> set[torch.dtype]:
    """Return the dtypes of a wrapper subclass's inner tensors; empty for a plain tensor."""
    flatten = getattr(tensor, "__tensor_flatten__", None)
    names = flatten()[0] if flatten else ()
    return {getattr(tensor, name).dtype for name in names}


def stored_bytes(tensor: torch.Tensor) -> int:
    """Return the bytes of a tensor; of a wrapper subclass those of its inner tensors."""
    flatten = getattr(tensor, "__tensor_flatten__", None)
    if flatten is None:
        return tensor.nbytes
    return sum(stored_bytes(getattr(tensor, name)) for name in flatten()[0])
