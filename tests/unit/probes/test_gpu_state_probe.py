"""Tests of reading a GPU through NVML, with recorded values: unreadable values are listed and never guessed."""

import sys
from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any

import pynvml
import pytest

from pytest_diffopt.probes.gpu_state import NvmlMeter, gpu_uuid, open_meter
from pytest_diffopt.records import GPUProcess, GPUReading, Slowdown

OWN, OTHER = 100, 200


def recorded(**answers: Any) -> Any:
    """Return a fake `pynvml` with the real constants and errors, and values recorded on a busy H200.

    A value that is an exception is raised.
    """
    recorded_values: Mapping[str, Any] = {
        "nvmlDeviceGetCurrentClocksEventReasons": 0,
        "nvmlDeviceGetClockInfo": 1830,
        "nvmlDeviceGetMaxClockInfo": 1980,
        "nvmlDeviceGetPowerUsage": 612_345,
        "nvmlDeviceGetTemperature": 58,
        "nvmlDeviceGetComputeRunningProcesses": [SimpleNamespace(pid=OWN, usedGpuMemory=9_000)],
        "nvmlDeviceGetProcessUtilization": [],
        "nvmlSystemGetProcessName": "/usr/bin/python3 train.py",
    }

    def answer(value: Any) -> Callable[..., Any]:
        def ask(*_arguments: Any) -> Any:
            if isinstance(value, Exception):
                raise value
            return value

        return ask

    constants = {name: value for name, value in vars(pynvml).items() if not name.startswith("nvmlDevice")}
    return SimpleNamespace(
        **constants | {name: answer(value) for name, value in {**recorded_values, **answers}.items()}
    )


def meter(**answers: Any) -> NvmlMeter:
    """Return a meter of a GPU with these values."""
    return NvmlMeter(recorded(**answers), "handle", own_pids=lambda: {OWN})


def test_a_gpu_is_read() -> None:
    """Clocks, power and temperature; our own process is not among the others."""
    assert meter().read() == GPUReading(
        sm_clock_mhz=1830,
        max_sm_clock_mhz=1980,
        power_milliwatts=612_345,
        temperature_celsius=58,
    )


@pytest.mark.parametrize(
    ("bits", "clock_mhz", "slowdowns", "is_throttled"),
    [
        (pynvml.nvmlClocksEventReasonGpuIdle, 345, (), False),
        (pynvml.nvmlClocksEventReasonHwThermalSlowdown, 1830, (Slowdown.HARDWARE_THERMAL,), True),
        (pynvml.nvmlClocksEventReasonSwThermalSlowdown, 1830, (Slowdown.SOFTWARE_THERMAL,), True),
        (pynvml.nvmlClocksEventReasonHwPowerBrakeSlowdown, 1830, (Slowdown.POWER_BRAKE,), True),
        (pynvml.nvmlClocksEventReasonHwSlowdown, 1830, (Slowdown.HARDWARE,), True),
        (pynvml.nvmlClocksEventReasonSwPowerCap, 1700, (Slowdown.POWER_CAP,), False),  # a large GPU at full load
        (pynvml.nvmlClocksEventReasonSwPowerCap, 1200, (Slowdown.POWER_CAP,), True),  # below 75 % of 1980 MHz
    ],
)
def test_a_throttled_gpu_is_distinguished_from_an_idle_one(
    bits: int, clock_mhz: int, slowdowns: tuple[Slowdown, ...], *, is_throttled: bool
) -> None:
    """A low clock is throttling only with a reason from NVML."""
    reading = meter(nvmlDeviceGetCurrentClocksEventReasons=bits, nvmlDeviceGetClockInfo=clock_mhz).read()

    assert reading.slowdowns == slowdowns
    assert reading.is_throttled is is_throttled


@pytest.mark.parametrize(
    ("use", "utilization_percent", "is_busy"),
    [
        ([SimpleNamespace(pid=OTHER, smUtil=12), SimpleNamespace(pid=OTHER, smUtil=31)], 31, True),
        ([SimpleNamespace(pid=OWN, smUtil=99)], 0, False),
        (pynvml.NVMLError(pynvml.NVML_ERROR_NOT_FOUND), 0, False),
        (pynvml.NVMLError(pynvml.NVML_ERROR_NOT_SUPPORTED), None, True),
    ],
    ids=["busy", "idle", "no samples", "unknown"],
)
def test_other_processes_on_the_gpu_are_listed(use: Any, utilization_percent: int | None, *, is_busy: bool) -> None:
    """A process without utilization is idle; one with unknown utilization counts as busy."""
    processes = [SimpleNamespace(pid=OWN, usedGpuMemory=1), SimpleNamespace(pid=OTHER, usedGpuMemory=2**30)]
    (other,) = meter(nvmlDeviceGetComputeRunningProcesses=processes, nvmlDeviceGetProcessUtilization=use).read().others

    assert other == GPUProcess(pid=OTHER, name="python3", memory_bytes=2**30, utilization_percent=utilization_percent)
    assert other.is_busy is is_busy


def test_processes_with_pids_of_the_host_may_be_our_own() -> None:
    """In a container NVML reports the host's pids: a single process counts as ours, of two at least one is another."""
    one = [SimpleNamespace(pid=7, usedGpuMemory=1)]
    two = [*one, SimpleNamespace(pid=8, usedGpuMemory=None)]

    assert meter(nvmlDeviceGetComputeRunningProcesses=one).read().others == ()
    assert len(meter(nvmlDeviceGetComputeRunningProcesses=two).read().others) == 2


def test_unreadable_values_are_none_and_listed() -> None:
    """Without permission, or on a MIG instance, all other values are still read."""
    refused = pynvml.NVMLError(pynvml.NVML_ERROR_NO_PERMISSION)
    watched = meter(nvmlDeviceGetClockInfo=refused, nvmlDeviceGetComputeRunningProcesses=refused)
    reading = watched.read()

    assert (reading.sm_clock_mhz, reading.temperature_celsius, reading.others) == (None, 58, ())
    assert watched.unreadable == ("clocks: Insufficient Permissions", "processes: Insufficient Permissions")


def test_without_the_library_the_gpu_is_unreadable(monkeypatch: pytest.MonkeyPatch) -> None:
    """The message names the missing extra; a GPU of another vendor has its own message."""
    monkeypatch.setitem(sys.modules, "pynvml", None)
    missing = open_meter("GPU-1")

    assert missing.read() == GPUReading()
    assert missing.unreadable == ("the GPU: nvidia-ml-py is not installed: pip install 'pytest-diffopt[gpu]'",)
    assert open_meter("").unreadable == ("the GPU: only NVIDIA GPUs can be read",)


def test_without_a_driver_the_reason_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    """The text is NVML's."""

    def no_driver() -> None:
        raise pynvml.NVMLError(pynvml.NVML_ERROR_LIBRARY_NOT_FOUND)

    monkeypatch.setattr(pynvml, "nvmlInit", no_driver)

    assert open_meter("GPU-1").unreadable == ("the GPU: NVML Shared Library Not Found",)


def test_a_cpu_has_no_uuid() -> None:
    """Only NVIDIA GPUs have one."""
    assert gpu_uuid("cpu") == ""
