"""Noise in half precision is float32's noise, rounded, on every torch."""

import pytest
import torch

from pytest_diffopt._torch_private import half_noise
from pytest_diffopt._torch_private.half_noise import half_noise_like_float32


def noise(dtype: torch.dtype) -> torch.Tensor:
    """Draw noise from a fixed seed."""
    return torch.randn((3, 64, 64), generator=torch.Generator().manual_seed(0), device="cpu", dtype=dtype)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("matches", [None, False], ids=["this torch", "older torch"])
def test_half_precision_noise_is_rounded_float32_noise(
    monkeypatch: pytest.MonkeyPatch, dtype: torch.dtype, *, matches: bool | None
) -> None:
    """This holds with the replacement for an older torch too, and `torch.randn` is restored."""
    if matches is not None:
        monkeypatch.setattr(half_noise, "_matches_float32", lambda: matches)
    plain = torch.randn
    with half_noise_like_float32():
        half, whole = noise(dtype), noise(torch.float32)

    assert half.dtype == dtype
    assert torch.equal(half, whole.to(dtype))
    assert torch.randn is plain
