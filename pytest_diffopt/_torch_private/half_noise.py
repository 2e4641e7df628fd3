"""Noise in half precision that is float32's noise, rounded, on every supported torch.

Before version 2.12, `torch.randn` on the CPU drew different numbers for bfloat16 and float16 than for float32 from the
same seed. An optimized pipeline would start from different noise than its reference and make a different image.
Measured: in 2.11.0 the two differ by 1.4 times the norm of the noise, in 2.12.1 and 2.13.0 only by rounding.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any
from unittest import mock

import torch

_HALF = (torch.bfloat16, torch.float16)
_SAMPLE_SIZE = 64  # torch draws the numbers of very small tensors one by one


@contextmanager
def half_noise_like_float32() -> Iterator[None]:
    """Make `torch.randn` on the CPU round float32 noise for half precision, if this torch draws different numbers."""
    if _matches_float32():
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
def _matches_float32() -> bool:
    half, single = (
        torch.randn(_SAMPLE_SIZE, generator=torch.Generator().manual_seed(0), dtype=dtype)
        for dtype in (torch.bfloat16, torch.float32)
    )
    return torch.allclose(half.float(), single, rtol=0.01)
