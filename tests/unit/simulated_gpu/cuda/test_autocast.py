"""Autocast on the simulated GPU casts as on CUDA."""

from collections.abc import Callable

import pytest
import torch
from torch.nn import functional

from pytest_diffopt.simulated_gpu import SimulatedGPU

FLOAT, HALF = torch.float32, torch.float16

CASES: dict[str, tuple[Callable[[torch.Tensor, torch.Tensor], torch.Tensor], torch.dtype]] = {
    "linear": (lambda x, _: functional.linear(x, x), HALF),
    "matmul": (lambda x, half: x @ half, HALF),
    "conv2d": (lambda x, _: functional.conv2d(x[None, None], x[None, None]), HALF),
    "attention": (
        lambda x, _: functional.scaled_dot_product_attention(x[None, None], x[None, None], x[None, None]),
        HALF,
    ),
    "softmax": (lambda _, half: half.softmax(-1), FLOAT),
    "softmax in halves": (lambda _, half: half.softmax(-1, dtype=HALF), HALF),
    "layer_norm": (lambda _, half: functional.layer_norm(half, (4,)), FLOAT),
    "group_norm": (lambda _, half: functional.group_norm(half, 2), FLOAT),
    "exp": (lambda _, half: half.exp(), FLOAT),
    "sum": (lambda _, half: half.sum(), FLOAT),
    "cat of both": (lambda x, half: torch.cat([x, half]), FLOAT),
    "cat of halves": (lambda _, half: torch.cat([half, half]), HALF),
    "silu, on no list": (lambda _, half: functional.silu(half), HALF),
    "add, on no list": (lambda x, half: x + half, FLOAT),
}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("real_up_to", [0, 4096])
def test_results_have_cudas_dtype(name: str, real_up_to: int) -> None:
    """Results have the dtype of CUDA's list: lower precision, float32, or the widest of the operands."""
    call, expected = CASES[name]
    with SimulatedGPU(real_up_to=real_up_to) as gpu, torch.no_grad():
        x = torch.ones(4, 4, device=gpu.device)
        half = x.half()
        with torch.autocast("privateuseone", dtype=HALF):
            assert call(x, half).dtype == expected
        assert (x @ x).dtype == FLOAT


def test_casts_are_counted() -> None:
    """A cast is counted as an operation."""
    with SimulatedGPU() as gpu, torch.no_grad():
        x = torch.ones(4, 4, device=gpu.device)
        gpu.enter_phase("plain")
        x @ x
        gpu.enter_phase("autocast")
        with torch.autocast("privateuseone", dtype=HALF):
            x @ x

    assert gpu.phases["plain"].operations == 1
    assert gpu.phases["autocast"].operations == 3
