"""The simulated GPU works with every build of torch, with and without CUDA, and without a driver."""

import pytest

from pytest_diffopt._torch_private.shape_rules import is_caused_by_missing_cuda


@pytest.mark.parametrize(
    "message",
    [
        "PyTorch is not linked with support for cuda devices",
        "Torch not compiled with CUDA enabled",
        "Found no NVIDIA driver on your system. Please check that you have an NVIDIA GPU",
        "CUDA error: CUDA driver version is insufficient for CUDA runtime version",
        "CUDA error: no CUDA-capable device is detected",
    ],
)
def test_missing_cuda_is_recognized(message: str) -> None:
    """The messages of a CPU build, and of a CUDA build on a machine without a GPU."""
    assert is_caused_by_missing_cuda(RuntimeError(message))


def test_other_errors_of_a_shape_rule_are_not_missing_cuda() -> None:
    """An invalid call is not taken for a missing CUDA."""
    assert not is_caused_by_missing_cuda(RuntimeError("mat1 and mat2 shapes cannot be multiplied (2x3 and 4x5)"))
