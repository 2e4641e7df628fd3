"""Noise in half precision that is float32's, rounded, on any torch that we know.

Before version 2.12 `torch.randn` drew other numbers on the processor for bfloat16 and float16 than for float32, from
the same seed: an optimized pipeline would begin with another noise than its plain twin, and draw another image.
Found by drawing both: 2.11.0 differs by 1.4 of the noise's length, 2.12.1 and 2.13.0 by what rounding takes.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any
from unittest import mock

import torch

_HALF = (torch.bfloat16, torch.float16)
_ENOUGH = 64  # fewer numbers are drawn one by one


@contextmanager
def half_noise_like_float32() -> Iterator[None]:
    """Let `torch.randn` draw float32 on the processor and round it, where this torch would draw other numbers."""
    if _is_alike():
        yield
        return
    plain = torch.randn

    def randn(*size: Any, dtype: torch.dtype | None = None, device: Any = None, **options: Any) -> torch.Tensor:
        if dtype not in _HALF or torch.device(device or "cpu").type != "cpu":
            return plain(*size, dtype=dtype, device=device, **options)
        return plain(*size, dtype=torch.float32, device=device, **options).to(dtype)

    with mock.patch.object(torch, "randn", randn):
        yield


@cache
def _is_alike() -> bool:
    half, whole = (
        torch.randn(_ENOUGH, generator=torch.Generator().manual_seed(0), dtype=dtype)
        for dtype in (torch.bfloat16, torch.float32)
    )
    return torch.allclose(half.float(), whole, rtol=0.01)
