"""State of a GPU from NVIDIA's management library (NVML): clocks, power, temperature, slowdowns, other processes.

`nvidia-ml-py` is an optional dependency. Without it, or without a driver, the record lists the GPU as unreadable. Not
yet run on a GPU: the tests replay readings.
"""

import os
import time
from collections.abc import Callable, Collection
from typing import Any, Protocol

from pytest_diffopt.records import GPUProcess, GPUReading, Slowdown

_US_PER_SECOND = 1_000_000
#: Length of the window in which the GPU utilization of each process is read.
_UTILIZATION_WINDOW_US = 2 * _US_PER_SECOND


class GPUMeter(Protocol):
    """Reads the state of a GPU."""

    @property
    def unreadable(self) -> tuple[str, ...]:
        """Values that could not be read so far, each with the reason."""

    def read(self) -> GPUReading:
        """Read the current state."""


class NvmlMeter:
    """Reads an NVIDIA GPU; values that NVML refuses (no permission, MIG) are None and listed as unreadable."""

    def __init__(self, nvml: Any, handle: Any, *, own_pids: Callable[[], Collection[int]]) -> None:
        """Bind to a GPU.

        Args:
            nvml: the module `pynvml`, initialized.
            handle: NVML's handle of the GPU.
            own_pids: returns the ids of our own processes.
        """
        self._nvml = nvml
        self._handle = handle
        self._own_pids = own_pids
        self._unreadable: dict[str, str] = {}
        self._slowdowns = {
            nvml.nvmlClocksEventReasonHwSlowdown: Slowdown.HARDWARE,
            nvml.nvmlClocksEventReasonHwThermalSlowdown: Slowdown.HARDWARE_THERMAL,
            nvml.nvmlClocksEventReasonSwThermalSlowdown: Slowdown.SOFTWARE_THERMAL,
            nvml.nvmlClocksEventReasonHwPowerBrakeSlowdown: Slowdown.POWER_BRAKE,
            nvml.nvmlClocksEventReasonSwPowerCap: Slowdown.POWER_CAP,
        }

    @property
    def unreadable(self) -> tuple[str, ...]:
        """Values that could not be read so far, each with the reason."""
        return tuple(f"{what}: {why}" for what, why in self._unreadable.items())

    def read(self) -> GPUReading:
        """Read the current state."""
        nvml, handle = self._nvml, self._handle
        reasons = self._query("slowdowns", lambda: nvml.nvmlDeviceGetCurrentClocksEventReasons(handle)) or 0
        return GPUReading(
            sm_clock_mhz=self._query("clocks", lambda: nvml.nvmlDeviceGetClockInfo(handle, nvml.NVML_CLOCK_SM)),
            max_sm_clock_mhz=self._query("clocks", lambda: nvml.nvmlDeviceGetMaxClockInfo(handle, nvml.NVML_CLOCK_SM)),
            power_milliwatts=self._query("power", lambda: nvml.nvmlDeviceGetPowerUsage(handle)),
            temperature_celsius=self._query(
                "temperature", lambda: nvml.nvmlDeviceGetTemperature(handle, nvml.NVML_TEMPERATURE_GPU)
            ),
            slowdowns=tuple(slowdown for bit, slowdown in self._slowdowns.items() if reasons & bit),
            others=self._others(),
        )

    def _others(self) -> tuple[GPUProcess, ...]:
        nvml, own = self._nvml, set(self._own_pids())
        running = self._query("processes", lambda: nvml.nvmlDeviceGetComputeRunningProcesses(self._handle)) or []
        if not own & {process.pid for process in running} and len(running) <= len(own):
            return ()  # in a container NVML reports the host's process ids, so that these may all be our own
        utilization = self._utilization()
        return tuple(
            GPUProcess(
                pid=process.pid,
                name=self._name(process.pid),
                memory_bytes=process.usedGpuMemory or 0,
                # NVML has no sample of a process that was idle.
                utilization_percent=None if utilization is None else utilization.get(process.pid, 0),
            )
            for process in running
            if process.pid not in own
        )

    def _utilization(self) -> dict[int, int] | None:
        """Return the recent GPU utilization of each process in percent; None when unreadable."""
        nvml, since_us = self._nvml, int(time.time() * _US_PER_SECOND) - _UTILIZATION_WINDOW_US
        try:
            samples = nvml.nvmlDeviceGetProcessUtilization(self._handle, since_us)
        except nvml.NVMLError_NotFound:
            return {}
        except nvml.NVMLError as error:
            self._unreadable["utilization by process"] = str(error)
            return None
        most: dict[int, int] = {}
        for sample in samples:
            most[sample.pid] = max(most.get(sample.pid, 0), sample.smUtil)
        return most

    def _name(self, pid: int) -> str:
        path = self._query("process names", lambda: self._nvml.nvmlSystemGetProcessName(pid))
        return os.path.basename(str(path).split()[0]) if path else ""  # noqa: PTH119 - not a file of this machine

    def _query(self, name: str, function: Callable[[], Any]) -> Any:
        try:
            return function()
        except self._nvml.NVMLError as error:
            self._unreadable[name] = str(error)
            return None


class UnavailableMeter:
    """Replaces the meter of a GPU that cannot be read; holds the reason."""

    def __init__(self, why: str) -> None:
        """Keep the reason."""
        self.unreadable: tuple[str, ...] = (f"the GPU: {why}",)

    def read(self) -> GPUReading:
        """Return an empty reading."""
        return GPUReading()


def own_process() -> Collection[int]:
    """Return the id of this process."""
    return {os.getpid()}


def open_meter(uuid: str, *, own_pids: Callable[[], Collection[int]] = own_process) -> GPUMeter:
    """Return a meter for the GPU with this UUID; an `UnavailableMeter` when it cannot be read.

    Args:
        uuid: UUID of an NVIDIA GPU (`GPU-...`), as torch reports it; empty for a GPU of another vendor.
        own_pids: returns the ids of our own processes.
    """
    if not uuid:
        return UnavailableMeter("only NVIDIA GPUs can be read")
    try:
        import pynvml  # noqa: PLC0415 - optional dependency
    except ImportError:
        return UnavailableMeter("nvidia-ml-py is not installed: pip install 'pytest-diffopt[gpu]'")
    try:
        pynvml.nvmlInit()
        return NvmlMeter(pynvml, pynvml.nvmlDeviceGetHandleByUUID(uuid), own_pids=own_pids)
    except pynvml.NVMLError as error:
        return UnavailableMeter(str(error))


def gpu_uuid(device: Any) -> str:
    """Return the UUID of an NVIDIA GPU; empty for any other torch device. Not yet run on a GPU."""
    import torch  # noqa: PLC0415 - the controller of a pair of processes reads the GPU without torch

    device = torch.device(device)
    if device.type != "cuda" or torch.version.cuda is None:
        return ""
    uuid = str(getattr(torch.cuda.get_device_properties(device), "uuid", ""))
    return uuid if not uuid or uuid.startswith(("GPU-", "MIG-")) else f"GPU-{uuid}"
