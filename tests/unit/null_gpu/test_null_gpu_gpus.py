"""The GPUs that the null GPU can report itself as."""

import pytest

from pytest_diffopt.null_gpu.errors import NullGpuError
from pytest_diffopt.null_gpu.gpus import MAX_DEVICES, describe_for_library, find_gpu, gpu_names
from pytest_diffopt.simulated_gpu import gpu_model_by_cuda_name

EXPECTED = {"h200", "h100", "b200", "a100-80gb", "l4", "l40s", "t4", "v100", "rtx-4090", "rtx-5090"}


def test_all_gpus_are_known() -> None:
    """Every GPU that the documentation names can be found."""
    assert set(gpu_names()) == EXPECTED


@pytest.mark.parametrize("name", ["h200", "H200", "nvidia-h200"])
def test_name_is_forgiving(name: str) -> None:
    """Case and the maker's name do not matter."""
    assert find_gpu(name).name == "NVIDIA H200"


def test_unknown_gpu_is_an_error_with_a_suggestion() -> None:
    """The message names the nearest GPU and all others."""
    with pytest.raises(NullGpuError) as caught:
        find_gpu("h20")

    assert str(caught.value) == (
        "unknown GPU 'h20' (did you mean 'h200'?); "
        "known: a100-80gb, b200, h100, h200, l4, l40s, rtx-4090, rtx-5090, t4, v100"
    )


@pytest.mark.parametrize("count", [0, -1, MAX_DEVICES + 1])
def test_number_of_devices_has_limits(count: int) -> None:
    """One to eight devices can exist."""
    with pytest.raises(NullGpuError, match=f"must be 1 to 8, got: {count}"):
        describe_for_library(find_gpu("h200"), count=count)


def test_description_has_the_fields_of_the_library() -> None:
    """The order is that in which csrc/device.c reads the fields."""
    assert describe_for_library(find_gpu("t4"), count=2) == (
        f"2,75,40,65536,65536,1024,16,{4 * 2**20},{15095 * 2**20},256,1590000,5001000,Tesla T4"
    )


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_block_fits_into_a_multiprocessor(name: str) -> None:
    """A block cannot have more shared memory than its multiprocessor."""
    gpu = find_gpu(name)

    assert 49152 < gpu.shared_bytes_per_block <= gpu.shared_bytes_per_multiprocessor
    assert gpu.memory_bytes > 14 * 2**30


#: The lanes of a multiprocessor for float32, by compute capability (CUDA C++ Programming Guide, arithmetic throughput).
FLOAT32_LANES = {(7, 0): 64, (7, 5): 64, (8, 0): 64, (8, 9): 128, (9, 0): 128, (10, 0): 128, (12, 0): 128}


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_figures_agree_with_the_data_sheet(name: str) -> None:
    """Bus times clock is the bandwidth, lanes times clock the float32 peak; a driver's boost clock is up to 7 % off."""
    gpu = find_gpu(name)
    sheet = gpu_model_by_cuda_name(gpu.name)
    assert sheet is not None
    gigabytes_per_s = gpu.memory_bus_bits / 8 * 2 * gpu.memory_clock_khz / 1e6
    float32_tflops = gpu.multiprocessors * FLOAT32_LANES[gpu.capability] * 2 * gpu.clock_khz / 1e9

    assert gpu.capability == sheet.capability
    assert gigabytes_per_s == pytest.approx(sheet.gigabytes_per_s, rel=0.045)
    assert float32_tflops == pytest.approx(sheet.float32_tflops, rel=0.07)
    assert gpu.memory_bytes == sheet.memory_bytes  # one table
