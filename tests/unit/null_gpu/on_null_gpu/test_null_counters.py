"""Counters: kernels by name, library calls with sizes, muting, and entry points that are not modelled."""

import ctypes

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

from pytest_diffopt.null_gpu.counters import TallyKind, counting, kernel_counts, library, muted, read_counts


def test_kernels_have_torchs_names() -> None:
    """A softmax is one launch of torch's kernel."""
    tensor = torch.ones(4, 8, device="cuda")
    with counting() as phase:
        tensor.softmax(-1)

    ((name, count),) = kernel_counts(phase.counts).items()
    assert count == 1
    assert "softmax" in name


def test_library_calls_have_sizes() -> None:
    """Products, convolutions and attention are library calls or kernels of their own."""
    image, weight = torch.ones(1, 4, 8, 8, device="cuda"), torch.ones(6, 4, 3, 3, device="cuda")
    with counting() as phase, torch.no_grad():
        torch.ones(3, 5, device="cuda") @ torch.ones(5, 7, device="cuda")
        torch.conv2d(image, weight)

    calls = set(phase.counts.of(TallyKind.LIBRARY_CALL))
    assert any(call.startswith("cublas") and "m=7 n=3 k=5" in call for call in calls), calls
    assert "cudnn convolution 1x4x8x8 + 6x4x3x3" in calls


def test_attention_of_cudnn_has_the_sizes_of_query_and_key() -> None:
    """In half precision, where the GPU takes cuDNN's kernel."""
    query, key = (torch.ones(2, 4, length, 64, device="cuda", dtype=torch.bfloat16) for length in (128, 77))
    with counting() as phase, torch.no_grad(), sdpa_kernel(SDPBackend.CUDNN_ATTENTION):
        torch.nn.functional.scaled_dot_product_attention(query, key, key)

    assert set(phase.counts.of(TallyKind.LIBRARY_CALL)) == {"cudnn attention 2x4x128x64 + 2x4x77x64"}


def test_ten_runs_count_the_same() -> None:
    """To the launch and to the byte."""
    model = torch.nn.Sequential(torch.nn.Conv2d(4, 8, 3), torch.nn.GroupNorm(2, 8), torch.nn.SiLU()).cuda()
    image = torch.ones(1, 4, 16, 16, device="cuda")
    runs = []
    for _ in range(10):
        torch.cuda.reset_peak_memory_stats()
        with counting() as phase, torch.no_grad():
            model(image)
        runs.append((phase.counts, torch.cuda.max_memory_allocated()))

    assert runs[1:] == runs[:1] * 9


def test_muted_work_is_not_counted() -> None:
    """Kernels, copies and syncs of this thread."""
    tensor = torch.ones(4, device="cuda")
    with counting() as phase, muted():
        (tensor + 1).tolist()

    assert phase.counts.tallies == {}


def test_unmodelled_entry_point_is_named_and_fails() -> None:
    """An entry point of the driver that nothing models."""
    function = library()["cuMemAdvise"]
    with counting() as phase:
        status = function(0, 0, 0, 0)

    assert status == 801
    assert list(phase.counts.of(TallyKind.UNMODELLED)) == ["cuMemAdvise"]


def test_entry_point_that_does_not_exist_is_named() -> None:
    """One of a driver that is newer than the headers."""
    found, result = ctypes.c_void_p(1), ctypes.c_int()
    with counting() as phase:
        status = library()["cuGetProcAddress_v2"](
            b"cuFromTheFuture", ctypes.byref(found), 14000, 0, ctypes.byref(result)
        )

    assert (status, found.value) == (500, None)
    assert list(phase.counts.of(TallyKind.UNMODELLED)) == ["cuFromTheFuture (looked up)"]


def test_host_callback_runs() -> None:
    """A host function in a stream is called."""
    called: list[int] = []
    callback = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(lambda _: called.append(1))
    with counting() as phase:
        status = library()["cudaLaunchHostFunc"](None, callback, None)

    assert (status, called) == (0, [1])
    assert phase.counts.total(TallyKind.HOST_CALLBACK) == 1


@pytest.mark.parametrize("operation", ["svdvals", "inv", "cholesky", "eigvalsh", "qr", "det"])
def test_linear_algebra_runs(operation: str) -> None:
    """CuSOLVER's sizes and info are set: no absurd allocation, no failure to converge."""
    before = torch.cuda.memory_reserved()
    getattr(torch.linalg, operation)(torch.eye(4, device="cuda"))

    assert torch.cuda.memory_reserved() - before < 2**30


def test_fourier_transform_runs() -> None:
    """CuFFT's plans work."""
    with counting() as phase:
        torch.fft.fft(torch.ones(8, device="cuda"))

    assert phase.counts.of(TallyKind.LIBRARY_CALL)["cufftXtExec"].count == 1


def test_nvml_reads_a_calm_gpu() -> None:
    """The library that nvidia-ml-py loads is this one."""
    pynvml = pytest.importorskip("pynvml")
    keep = torch.empty(2**28, dtype=torch.uint8, device="cuda")
    pynvml.nvmlInit()
    handle = pynvml.nvmlDeviceGetHandleByIndex(0)
    uuid = pynvml.nvmlDeviceGetUUID(handle)

    assert pynvml.nvmlDeviceGetCount() == 1
    assert pynvml.nvmlDeviceGetName(handle) == torch.cuda.get_device_name()
    assert pynvml.nvmlDeviceGetMemoryInfo(handle).used >= keep.nbytes
    assert pynvml.nvmlDeviceGetCurrentClocksEventReasons(handle) == 0
    assert pynvml.nvmlDeviceGetClockInfo(handle, pynvml.NVML_CLOCK_SM) == 1980
    assert pynvml.nvmlDeviceGetMaxClockInfo(handle, pynvml.NVML_CLOCK_SM) == 1980
    assert pynvml.nvmlDeviceGetTemperature(handle, pynvml.NVML_TEMPERATURE_GPU) == 35
    assert uuid == f"GPU-{torch.cuda.get_device_properties(0).uuid}"
    assert len(pynvml.nvmlDeviceGetComputeRunningProcesses(handle)) == 1
    assert pynvml.nvmlDeviceGetHandleByUUID(uuid)
    pynvml.nvmlShutdown()


def test_nothing_here_was_unmodelled() -> None:
    """What this file ran is modelled, but for what it called on purpose."""
    named = set(read_counts().of(TallyKind.UNMODELLED))

    assert {
        name for name in named if not name.startswith(("cuMemAdvise", "cuFromTheFuture", "cuGetExportTable"))
    } == set()
