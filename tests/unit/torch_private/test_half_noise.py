"""Noise in half precision is float32's, rounded, whatever this torch draws by itself."""

import pytest
import torch

from pytest_diffopt._torch_private import half_noise
from pytest_diffopt._torch_private.half_noise import half_noise_like_float32


def noise(dtype: torch.dtype) -> torch.Tensor:
    """Draw from one seed."""
    return torch.randn((3, 64, 64), generator=torch.Generator().manual_seed(0), device="cpu", dtype=dtype)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("is_alike", [None, False], ids=["this torch", "a torch that draws others"])
def test_both_begin_with_the_same_noise(
    monkeypatch: pytest.MonkeyPatch, dtype: torch.dtype, *, is_alike: bool | None
) -> None:
    """Also with the function that an older torch needs, and torch's own is back afterwards."""
    if is_alike is not None:
        monkeypatch.setattr(half_noise, "_matches_float32", lambda: is_alike)
    plain = torch.randn
    with half_noise_like_float32():
        half, whole = noise(dtype), noise(torch.float32)

    assert half.dtype == dtype
    assert torch.equal(half, whole.to(dtype))
    assert torch.randn is plain
