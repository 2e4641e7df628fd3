"""Convolutions and matrix products of half precision on a CPU without instructions for it.

Without AVX-512, oneDNN computes neither in bfloat16 or float16, and torch falls back to reference kernels. Computed in
float32, a convolution of 64 channels of 64 x 64 is 5 times as fast in channels_last and 40 times in NCHW, and a product
of 1024 x 32 and 32 x 128 is 30 times as fast.
"""

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch._dynamo.decorators import skip

_library: Any = torch.library.Library
_HALF = (torch.bfloat16, torch.float16)
#: What `aten::convolution` calls on the CPU where oneDNN is of no use.
_CONVOLUTIONS = ("_slow_conv2d_forward", "slow_conv3d_forward")
_PRODUCTS = ("mm", "addmm", "bmm", "baddbmm")


@contextmanager
def half_precision_in_float32() -> Iterator[None]:
    """Compute in float32 what the CPU cannot in half precision, and round the result once, while the block runs.

    The dtypes and layouts of operands and results, and the operations that a dispatch mode sees, are unchanged. A torch
    that does not give its kernels away keeps them, and so does a CPU with AVX-512 for products.
    """
    if not hasattr(torch.library, "get_kernel"):
        yield
        return
    library = _library("aten", "IMPL")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Warning only once for all operators", UserWarning)
        for name in _kernels():
            library.impl(name, _in_float32(name), "CPU", with_keyset=True, allow_override=True)
    try:
        yield
    finally:
        library._destroy()  # noqa: SLF001 - torch has no public one


def _kernels() -> tuple[str, ...]:
    has_instructions = torch.backends.mkldnn.enabled and torch.backends.cpu.get_cpu_capability() == "AVX512"
    return _CONVOLUTIONS if has_instructions else _CONVOLUTIONS + _PRODUCTS


def _in_float32(name: str) -> Callable[..., torch.Tensor]:
    plain: Any = torch.library.get_kernel(f"aten::{name}", "CPU")

    # Below a compiled function, Dynamo would compile it; to disable Dynamo takes as long as a small product.
    def compute(keys: Any, first: torch.Tensor, *others: Any, **scales: Any) -> torch.Tensor:
        if first.dtype not in _HALF:
            result: torch.Tensor = plain.call_boxed(keys, first, *others, **scales)
            return result
        result = plain.call_boxed(keys, first.float(), *map(_widened, others), **scales)
        return result.to(first.dtype)

    return skip(compute)


@skip
def _widened(operand: Any) -> Any:
    return operand.float() if isinstance(operand, torch.Tensor) else operand
