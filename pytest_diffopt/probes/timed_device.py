"""The device that calls are timed on: how to wait for it, and what reads it."""

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
    """A device that calls are timed on.

    Attributes:
        torch_device: torch's name of it.
        synchronize: waits until it has done all that was asked of it.
        meter: reads the GPU; None on a CPU.
    """

    torch_device: str
    synchronize: Callable[[], None]
    meter: GPUMeter | None


def timed_device(device: Device) -> TimedDevice:
    """Return what is needed to time calls on a device.

    Raises:
        ProbeError: torch cannot wait for this device.
    """
    name = torch_device(device)
    meter = None if name == "cpu" else open_meter(gpu_uuid(name))
    return TimedDevice(torch_device=name, synchronize=device_synchronizer(name), meter=meter)


def device_synchronizer(device: torch.device | str) -> Callable[[], None]:
    """Return a function that waits until a device has done all that was asked of it; on a CPU nothing is pending.

    Raises:
        ProbeError: torch cannot wait for this device.
    """
    device = torch.device(device)
    if device.type == "cpu":
        return _nothing_is_pending
    found = accelerator_kind()
    if found != device.type:
        message = f"cannot wait for the device {device}: the accelerator that torch finds here is {found or 'none'}"
        raise ProbeError(message)
    module = torch.get_device_module(device.type)
    # MPS is one device, and its wait takes no argument.
    return module.synchronize if device.type == "mps" else functools.partial(module.synchronize, device)


def _nothing_is_pending() -> None:
    """Wait for nothing: a CPU has done its work when the call returns."""
