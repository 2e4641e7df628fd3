"""What machine and which versions this is; read once, without importing torch unless a GPU was asked for."""

import platform
import re
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from pytest_diffopt.errors import DiffoptError
from pytest_diffopt.records import Device, Environment

_ACCELERATORS = ("cuda", "xpu", "mps")
_DISTRIBUTIONS = ("torch", "diffusers", "transformers", "torchao", "accelerate", "triton")


class NoGPUError(DiffoptError):
    """A GPU was asked for, and there is none that torch can use."""


@cache
def capture_environment(device: Device) -> Environment:
    """Describe the machine that this device is on.

    Raises:
        NoGPUError: the device is a real GPU, and torch finds none.
    """
    if device is Device.SIMULATED:
        return Environment(device_slug="simulated", device_name="the simulated GPU", versions=_versions())
    name = gpu_name() if device is Device.CUDA else _cpu_name()
    prefix = "" if device is Device.CUDA else "cpu-"
    return Environment(device_slug=prefix + slug(name), device_name=name, versions=_versions())


def gpu_name() -> str:
    """Return what the first GPU calls itself.

    Raises:
        NoGPUError: torch finds no GPU; the message says what it does find.
    """
    import torch  # noqa: PLC0415 - only a run on a GPU pays for it here

    kind = accelerator_kind()
    if not kind:
        toolkits = {"CUDA": torch.version.cuda, "ROCm": torch.version.hip}
        build = " and ".join(f"{name} {version}" for name, version in toolkits.items() if version)
        reason = f"is built for {build}, but sees no GPU" if build else "is a build for the CPU only"
        msg = f"--gpu needs a GPU that torch can use, and there is none: torch {torch.__version__} {reason}"
        raise NoGPUError(msg)
    module = torch.get_device_module(kind)
    return str(module.get_device_name(0)) if hasattr(module, "get_device_name") else kind


def accelerator_kind() -> str:
    """Return torch's name of the real accelerator of this machine (`cuda` also means ROCm), or an empty string.

    `torch.accelerator` is not asked: once the simulated GPU was set up in a process, that is the accelerator it names.
    """
    import torch  # noqa: PLC0415 - who asks has torch

    return next((kind for kind in _ACCELERATORS if torch.get_device_module(kind).is_available()), "")


def torch_device(device: Device) -> str:
    """Return torch's name of the device that a pipeline is built on: `cpu`, or the real accelerator."""
    return (accelerator_kind() if device is Device.CUDA else "") or "cpu"


def slug(name: str) -> str:
    """Turn a device's name into a folder's: lower case, digits and single hyphens."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


def distribution_version(name: str) -> str:
    """Return the version of an installed distribution, or `not installed`."""
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


def _versions() -> dict[str, str]:
    found = {name: distribution_version(name) for name in _DISTRIBUTIONS}
    return {"python": platform.python_version()} | {
        name: text for name, text in found.items() if text != "not installed"
    }


def _cpu_name() -> str:
    """Return the processor's model; Linux tells it in /proc, other systems through `platform`."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor() or platform.machine()
