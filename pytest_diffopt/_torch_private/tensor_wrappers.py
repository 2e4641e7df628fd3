"""Wrapper tensors: subclasses that have a shape and a device, and no memory of their own."""

from collections.abc import Callable
from typing import Any

import torch

#: The documented `__torch_function__` of a subclass that overrides no torch function.
NO_TORCH_FUNCTION: Any = torch._C._disabled_torch_function_impl
#: (cls, shape, strides, offset, memory format, dtype, layout, device) -> a wrapper tensor.
make_wrapper: Callable[..., Any] = torch.Tensor._make_wrapper_subclass


def set_wrapper_metadata(wrapper: torch.Tensor, like: torch.Tensor) -> None:
    """Give a wrapper the shape, strides and dtype of another."""
    torch.Tensor.data.__set__(wrapper, like)  # type: ignore[attr-defined]


def mark_as_parameter(tensor: torch.Tensor) -> None:
    """Make `isinstance(tensor, nn.Parameter)` true for a tensor of another class."""
    tensor._is_param = True


def swap_tensors(one: torch.Tensor, other: torch.Tensor) -> None:
    """Exchange the contents of two tensors; each reference to one then sees the other's."""
    swap: Any = torch.utils.swap_tensors
    swap(one, other)
