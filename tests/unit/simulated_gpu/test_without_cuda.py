"""The simulated GPU works with every build of torch, whether CUDA is in it, and whether there is a driver for that."""

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
def test_a_shape_rule_that_touches_cuda_is_done_without(message: str) -> None:
    """As torch says it of a build for the CPU, and of one for CUDA on a machine without a GPU."""
    assert is_caused_by_missing_cuda(RuntimeError(message))


def test_any_other_error_of_a_shape_rule_is_the_callers() -> None:
    """An operation that is called wrongly raises."""
    assert not is_caused_by_missing_cuda(RuntimeError("mat1 and mat2 shapes cannot be multiplied (2x3 and 4x5)"))
