"""What NVIDIA's management library tells of a GPU: clocks, power, heat, slowdowns, and who else is on it.

`nvidia-ml-py` is an extra; without it, or without a driver, a measurement says that nothing was read. Never run on a
GPU so far: the tests replay readings.
"""

import os
import time
from collections.abc import Callable, Collection
from typing import Any, Protocol

from pytest_diffopt.records import GPUProcess, GPUReading, Slowdown

_US_PER_SECOND = 1_000_000
#: How far back the use of the GPU by each process is asked for.
_LATELY_US = 2 * _US_PER_SECOND


class GPUMeter(Protocol):
    """Reads a GPU."""

    @property
    def unreadable(self) -> tuple[str, ...]:
        """What the GPU would not tell so far, each with the reason."""

    def read(self) -> GPUReading:
        """Read it now."""


class NvmlMeter:
    """Reads an NVIDIA GPU; what it will not tell (no permission, a slice of a GPU) is noted and left out."""

    def __init__(self, nvml: Any, handle: Any, *, own_pids: Callable[[], Collection[int]]) -> None:
        """Bind to a GPU.

        Args:
            nvml: the module `pynvml`, initialised.
            handle: its handle of the GPU.
            own_pids: returns the processes that are ours.
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
        """What the GPU would not tell so far, each with the reason."""
        return tuple(f"{what}: {why}" for what, why in self._unreadable.items())

    def read(self) -> GPUReading:
        """Read the GPU now."""
        nvml, handle = self._nvml, self._handle
        reasons = self._ask("slowdowns", lambda: nvml.nvmlDeviceGetCurrentClocksEventReasons(handle)) or 0
        return GPUReading(
            sm_clock_mhz=self._ask("clocks", lambda: nvml.nvmlDeviceGetClockInfo(handle, nvml.NVML_CLOCK_SM)),
            max_sm_clock_mhz=self._ask("clocks", lambda: nvml.nvmlDeviceGetMaxClockInfo(handle, nvml.NVML_CLOCK_SM)),
            memory_clock_mhz=self._ask("clocks", lambda: nvml.nvmlDeviceGetClockInfo(handle, nvml.NVML_CLOCK_MEM)),
            power_milliwatts=self._ask("power", lambda: nvml.nvmlDeviceGetPowerUsage(handle)),
            temperature_celsius=self._ask(
                "temperature", lambda: nvml.nvmlDeviceGetTemperature(handle, nvml.NVML_TEMPERATURE_GPU)
            ),
            slowdowns=tuple(slowdown for bit, slowdown in self._slowdowns.items() if reasons & bit),
            others=self._others(),
        )

    def _others(self) -> tuple[GPUProcess, ...]:
        nvml, own = self._nvml, set(self._own_pids())
        running = self._ask("processes", lambda: nvml.nvmlDeviceGetComputeRunningProcesses(self._handle)) or []
        if not own & {process.pid for process in running} and len(running) <= len(own):
            return ()  # in a container they may all be ours, under the numbers of the host
        utilization = self._utilization()
        return tuple(
            GPUProcess(
                pid=process.pid,
                name=self._name(process.pid),
                memory_bytes=process.usedGpuMemory or 0,
                # Of a process that did nothing lately there is no sample.
                utilization_percent=None if utilization is None else utilization.get(process.pid, 0),
            )
            for process in running
            if process.pid not in own
        )

    def _utilization(self) -> dict[int, int] | None:
        """Return the share of the GPU that each process used lately; None where that is not told."""
        nvml, since_us = self._nvml, int(time.time() * _US_PER_SECOND) - _LATELY_US
        try:
            samples = nvml.nvmlDeviceGetProcessUtilization(self._handle, since_us)
        except nvml.NVMLError_NotFound:
            return {}
        except nvml.NVMLError as error:
            self._unreadable["use by process"] = str(error)
            return None
        most: dict[int, int] = {}
        for sample in samples:
            most[sample.pid] = max(most.get(sample.pid, 0), sample.smUtil)
        return most

    def _name(self, pid: int) -> str:
        path = self._ask("process names", lambda: self._nvml.nvmlSystemGetProcessName(pid))
        return os.path.basename(str(path).split()[0]) if path else ""  # noqa: PTH119 - a name, maybe of no file here

    def _ask(self, what: str, question: Callable[[], Any]) -> Any:
        try:
            return question()
        except self._nvml.NVMLError as error:
            self._unreadable[what] = str(error)
            return None


class NoMeter:
    """Stands in where a GPU cannot be read, and says why."""

    def __init__(self, why: str) -> None:
        """Keep the reason."""
        self.unreadable: tuple[str, ...] = (f"the GPU: {why}",)

    def read(self) -> GPUReading:
        """Return a reading that tells nothing."""
        return GPUReading()


def own_process() -> Collection[int]:
    """Return this process, for a measurement that has no other."""
    return {os.getpid()}


def open_meter(uuid: str, *, own_pids: Callable[[], Collection[int]] = own_process) -> GPUMeter:
    """Return what reads the GPU with this number, or what says why none can be.

    Args:
        uuid: NVIDIA's number of the GPU (`GPU-...`), as torch tells it; empty for a GPU of another maker.
        own_pids: returns the processes that are ours.
    """
    if not uuid:
        return NoMeter("only NVIDIA's GPUs can be read")
    try:
        import pynvml  # noqa: PLC0415 - an extra
    except ImportError:
        return NoMeter("nvidia-ml-py is not installed: pip install 'pytest-diffopt[gpu]'")
    try:
        pynvml.nvmlInit()
        return NvmlMeter(pynvml, pynvml.nvmlDeviceGetHandleByUUID(uuid), own_pids=own_pids)
    except pynvml.NVMLError as error:
        return NoMeter(str(error))


def gpu_uuid(device: Any) -> str:
    """Return NVIDIA's number of a torch device; empty for a device that has none. Never run on a GPU so far."""
    import torch  # noqa: PLC0415 - the controller of two workers reads a GPU without torch

    device = torch.device(device)
    if device.type != "cuda" or torch.version.cuda is None:
        return ""
    uuid = str(getattr(torch.cuda.get_device_properties(device), "uuid", ""))
    return uuid if not uuid or uuid.startswith(("GPU-", "MIG-")) else f"GPU-{uuid}"
