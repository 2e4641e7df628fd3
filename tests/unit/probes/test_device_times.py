"""The model of the device's time: rooflines worked out by hand."""

import pytest
import torch

from pytest_diffopt.null_gpu.values.work import Work
from pytest_diffopt.probes.device_times import work_ns
from pytest_diffopt.simulated_gpu.cost.gpus import gpu_model

H200 = gpu_model("nvidia-h200")  # 989.4 TFLOP/s in bfloat16, 494.7 in TF32, 4.8 TB/s


def product(dtype: torch.dtype, *, pieces: int = 1) -> Work:
    """Return a product of 4096 x 4096 matrices: 2 * 4096^3 = 1.374e11 FLOPs."""
    shape = torch.Size([4096, 4096])
    return Work(
        operation=torch.ops.aten.mm.default,
        pieces=pieces,
        args=(shape, shape),
        kwargs={},
        result=shape,
        moved_bytes=3 * 4096 * 4096 * dtype.itemsize,
        dtype=dtype,
    )


def test_flops_at_the_peak_of_the_dtype() -> None:
    """1.374e11 / 989.4e12 s = 138.9 us; float32 has half of that peak."""
    assert work_ns(product(torch.bfloat16), H200) == pytest.approx(138_911, rel=1e-4)
    assert work_ns(product(torch.float32), H200) == pytest.approx(277_822, rel=1e-4)


def test_int8_product_has_its_own_peak() -> None:
    """1.374e11 / 1978.9e12 s = 69.5 us."""
    assert work_ns(product(torch.int8), H200) == pytest.approx(69_452, rel=1e-4)


def test_bytes_at_the_memory_bandwidth() -> None:
    """48 MB at 4.8 TB/s take 10 us."""
    add = Work(
        operation=torch.ops.aten.add.Tensor,
        pieces=1,
        args=(torch.Size([8]), 1),
        kwargs={},
        result=torch.Size([8]),
        moved_bytes=48_000_000,
        dtype=torch.float32,
    )

    assert work_ns(add, H200) == 10_000


def test_kernels_of_an_operation_share_its_time() -> None:
    """And each takes at least one nanosecond, because 0 means that there is no model."""
    assert work_ns(product(torch.bfloat16, pieces=2), H200) == pytest.approx(69_456, rel=1e-4)
    assert work_ns(product(torch.bfloat16, pieces=10**9), H200) == 1


def test_kernel_of_triton_moves_its_tensors_once() -> None:
    """Its arithmetic is not known: 48 MB at 4.8 TB/s take 10 us."""
    kernel = Work(operation=None, pieces=1, args=(), kwargs={}, result=(), moved_bytes=48_000_000, dtype=torch.bfloat16)

    assert work_ns(kernel, H200) == 10_000
