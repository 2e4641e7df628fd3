"""What tensors are made of, and how far apart torch lets them be."""

import torch
from torch.testing._comparison import default_tolerances


def tolerances(dtype: torch.dtype) -> tuple[float, float]:
    """Return how far `torch.testing` lets values of a dtype be apart: relative, absolute."""
    return default_tolerances(dtype)


def inner_dtypes(tensor: torch.Tensor) -> set[torch.dtype]:
    """Return the dtypes of the tensors that a wrapper subclass is made of; empty for a plain tensor."""
    flatten = getattr(tensor, "__tensor_flatten__", None)
    names = flatten()[0] if flatten else ()
    return {getattr(tensor, name).dtype for name in names}
