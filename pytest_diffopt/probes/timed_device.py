"""The device on which calls are timed: its synchronization and its meter."""

import functools
from collections.abc import Callable
from dataclasses import dataclass

import torch

from pytest_diffopt.environment import accelerator_kind, torch_device
from pytest_diffopt.errors import ProbeError
from pytest_diffopt.probes.gpu_state import GPUMeter, gpu_uuid, open_meter
from pytest_diffopt.records import Device


@dataclass(frozen=True, kw_only=True, slots=True)
class TimedDevice:
    """A device on which calls are timed.

    Attributes:
        torch_device: torch's name of the device.
        synchronize: blocks until the device is idle.
        meter: reads the GPU; None on a CPU.
    """

    torch_device: str
    synchronize: Callable[[], None]
    meter: GPUMeter | None


def timed_device(device: Device) -> TimedDevice:
    """Return the synchronization and the meter of a device.

    Raises:
        ProbeError: torch cannot synchronize this device.
    """
    name = torch_device(device)
    # the null GPU has readings that depend on nothing
    meter = None if name == "cpu" or device is Device.NULL_GPU else open_meter(gpu_uuid(name))
    return TimedDevice(torch_device=name, synchronize=device_synchronizer(name), meter=meter)


def device_synchronizer(device: torch.device | str) -> Callable[[], None]:
    """Return a function that blocks until a device is idle; on a CPU it does nothing.

    Raises:
        ProbeError: torch cannot synchronize this device.
    """
    device = torch.device(device)
    if device.type == "cpu":
        return _nothing_is_pending
    found = accelerator_kind()
    if found != device.type:
        message = f"cannot synchronize the device {device}: the accelerator found by torch is {found or 'none'}"
        raise ProbeError(message)
    module = torch.get_device_module(device.type)
    # MPS has a single device, and its synchronize takes no argument.
    return module.synchronize if device.type == "mps" else functools.partial(module.synchronize, device)


def _nothing_is_pending() -> None:
    """Do nothing: on a CPU, work is finished when a call returns."""
