"""The roofline of counted work."""

import pytest
import torch

from pytest_diffopt.simulated_gpu import Counts
from pytest_diffopt.simulated_gpu.cost.gpus import gpu_model, known_gpu_models
from pytest_diffopt.simulated_gpu.cost.roofline import Limit, bound_of, fastest_dtype, peak_tflops, seconds_of

H200 = gpu_model("nvidia-h200")


def test_work_is_bound_by_flops() -> None:
    """989.4 TFLOPs that write one byte take one second on an H200."""
    bound = bound_of(Counts(flops=989_400_000_000_000, allocated_bytes=1), H200, torch.bfloat16)

    assert (bound.seconds, bound.limit) == (1.0, Limit.FLOPS)


def test_work_is_bound_by_bytes() -> None:
    """Without FLOPs, the bandwidth is the limit."""
    bound = bound_of(Counts(allocated_bytes=4_800_000_000_000), H200, torch.bfloat16)

    assert (bound.seconds, bound.limit) == (1.0, Limit.BYTES)


def test_bounds_of_phases_are_added() -> None:
    """Each phase has its own limit, so the sum is longer than the bound of the summed counts."""
    by_bytes, by_flops = Counts(allocated_bytes=4_800_000_000), Counts(flops=989_400_000_000_000)

    assert seconds_of([by_bytes, by_flops], H200, torch.bfloat16) == pytest.approx(1.001)


@pytest.mark.parametrize(
    ("name", "dtype", "tflops"),
    [
        ("nvidia-h200", torch.float16, 989.4),
        ("nvidia-h200", torch.float32, 494.7),
        ("nvidia-t4", torch.bfloat16, 8.1),
        ("nvidia-a100", torch.float8_e4m3fn, 312.0),
    ],
)
def test_peak_of_a_dtype(name: str, dtype: torch.dtype, tflops: float) -> None:
    """float32 may run in TF32, old tensor cores lack bfloat16, and an unknown dtype has the highest peak."""
    assert tflops == peak_tflops(gpu_model(name), dtype)


def test_fastest_dtype_makes_the_bound_safe() -> None:
    """A pipeline with two dtypes uses the faster one; one without parameters uses float32."""
    assert torch.bfloat16 == fastest_dtype({torch.float32, torch.bfloat16}, H200)
    assert torch.float32 == fastest_dtype((), H200)


@pytest.mark.parametrize("name", known_gpu_models())
def test_every_gpu_is_plausible(name: str) -> None:
    """Each GPU names its source, and no dtype is faster than a smaller one."""
    one = gpu_model(name)

    assert one.source.startswith("NVIDIA ")
    assert one.float16_tflops >= one.bfloat16_tflops >= one.tf32_tflops >= one.float32_tflops > 0
    assert one.memory_bytes > 10**10
