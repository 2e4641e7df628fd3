"""Higher-order operators, which need an implementation for each tensor subclass."""

from collections.abc import Callable
from types import ModuleType
from typing import Any

import torch
from torch._higher_order_ops.flex_attention import flex_attention, sdpa_dense
from torch._higher_order_ops.out_dtype import out_dtype, out_dtype_dense
from torch._ops import OpOverload
from torch.nn.attention import flex_attention as flex_attention_module


def implement_flex_attention(cls: type[torch.Tensor]) -> None:
    """Implement FlexAttention for a tensor subclass; uncompiled, it materializes the scores on every device."""
    flex_attention.py_impl(cls)(sdpa_dense)


def flex_attention_device_check() -> tuple[ModuleType, str, Callable[..., None]]:
    """Return the check that refuses unknown devices: its module, its name and the function."""
    return flex_attention_module, "_validate_device", flex_attention_module._validate_device


def implement_out_dtype(cls: type[torch.Tensor]) -> None:
    """Implement `out_dtype` for a tensor subclass; uncompiled, an int8 product is one call of `_int_mm` on CUDA."""
    out_dtype.py_impl(cls)(_out_dtype)


def _out_dtype(operation: OpOverload, output_dtype: torch.dtype, *args: Any) -> Any:
    if operation is torch.ops.aten.mm.default and {one.dtype for one in args} == {torch.int8}:
        return torch._int_mm(*args)
    return out_dtype_dense(operation, output_dtype, *args)
