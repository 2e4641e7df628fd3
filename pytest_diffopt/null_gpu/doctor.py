"""Which of the three devices this machine can offer, and what is missing."""

import importlib.util
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from pytest_diffopt.null_gpu.building import find_compiler
from pytest_diffopt.null_gpu.errors import BuildError
from pytest_diffopt.null_gpu.torch_build import find_torch_build

_DRIVER_VERSION = Path("/proc/driver/nvidia/version")


class Device(Enum):
    """The devices that guards run on."""

    GPU = "GPU"
    NULL_GPU = "null GPU"
    SIMULATED_GPU = "simulated GPU"


@dataclass(frozen=True, kw_only=True, slots=True)
class Availability:
    """Whether a machine offers a device.

    Attributes:
        device: the device.
        unmet: what is missing, one sentence each; empty if the device is available.
        detail: what it is made of.
    """

    device: Device
    unmet: tuple[str, ...] = ()
    detail: str = ""


def check_devices() -> tuple[Availability, ...]:
    """Check what this machine offers, without importing torch."""
    return _gpu(), _null_gpu(), _simulated_gpu()


def _gpu() -> Availability:
    unmet = list(_unmet_of_torch())
    if not _DRIVER_VERSION.is_file():
        unmet.append("no NVIDIA driver is loaded")
        return Availability(device=Device.GPU, unmet=tuple(unmet))
    detail = _DRIVER_VERSION.read_text(encoding="utf-8").partition("\n")[0]
    return Availability(device=Device.GPU, unmet=tuple(unmet), detail=detail)


def _unmet_of_torch() -> Iterator[str]:
    try:
        find_torch_build()
    except BuildError as error:
        yield str(error)


def _null_gpu() -> Availability:
    unmet = list(_unmet_of_torch())
    compiler = find_compiler()
    if compiler is None:
        unmet.append("no C compiler was found: install gcc, or set CC")
    if unmet:
        return Availability(device=Device.NULL_GPU, unmet=tuple(unmet))
    return Availability(device=Device.NULL_GPU, detail=f"torch {find_torch_build().version}, built by {compiler}")


def _simulated_gpu() -> Availability:
    if importlib.util.find_spec("torch") is None:
        return Availability(device=Device.SIMULATED_GPU, unmet=("torch is not installed: pip install torch",))
    return Availability(device=Device.SIMULATED_GPU, detail="any torch")


def doctor_lines(devices: tuple[Availability, ...]) -> Iterator[str]:
    """Yield the report."""
    for found in devices:
        state = "not available" if found.unmet else "available"
        yield f"{found.device.value:<14} {state}{f': {found.detail}' if found.detail else ''}"
        yield from (f"{'':<14} - {sentence}" for sentence in found.unmet)
