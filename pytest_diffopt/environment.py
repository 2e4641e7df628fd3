"""Device and package versions; read once, and without importing torch unless a GPU is requested."""

import os
import platform
import re
from dataclasses import replace
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from pytest_diffopt.errors import DiffoptError
from pytest_diffopt.null_gpu.activity import is_active
from pytest_diffopt.records import Device, Environment

_ACCELERATORS = ("cuda", "xpu", "mps")
_DISTRIBUTIONS = ("torch", "diffusers", "transformers", "torchao", "accelerate", "triton")


# Variables of Inductor that decide where and when it compiles, and not which code it generates.
_WITHOUT_EFFECT_ON_CODE = re.compile(
    r"TORCHINDUCTOR_(CACHE_DIR|COMPILE_THREADS|FORCE_DISABLE_CACHES|WORKER_\w+|\w+_CACHE)"
)


class NoGPUError(DiffoptError):
    """A GPU was requested, and torch cannot use any."""


@cache
def capture_environment(device: Device) -> Environment:
    """Return the environment for a device.

    Raises:
        NoGPUError: the device is a GPU or the null GPU, and torch finds none.
    """
    if device is Device.SIMULATED:
        return Environment(device_slug="simulated", device_name="the simulated GPU", versions=_versions())
    name = gpu_name() if device.is_gpu else _cpu_name()
    prefix = "" if device.is_gpu else "cpu-"
    return Environment(device_slug=prefix + slug(name), device_name=name, versions=_versions())


def with_inductor_variables(environment: Environment) -> Environment:
    """Return an environment that also has the variables by which the user changes the code that Inductor generates.

    They are not kept from the tests: a baseline that was accepted without them shows them as a difference.
    """
    names = [name for name in os.environ if name.startswith("TORCHINDUCTOR_")]
    variables = {name: os.environ[name] for name in names if not _WITHOUT_EFFECT_ON_CODE.fullmatch(name)}
    return replace(environment, versions={**environment.versions, **variables})


def gpu_name() -> str:
    """Return the name that the first GPU reports, after `null` where the null GPU stands in for it.

    Raises:
        NoGPUError: torch finds no GPU; the message states which build of torch is installed.
    """
    import torch  # noqa: PLC0415 - loaded only when a GPU is requested

    kind = accelerator_kind()
    if not kind:
        toolkits = {"CUDA": torch.version.cuda, "ROCm": torch.version.hip}
        build = " and ".join(f"{name} {version}" for name, version in toolkits.items() if version)
        reason = f"is built for {build} but finds no GPU" if build else "is a CPU-only build"
        msg = f"--diffopt-gpu needs a GPU that torch can use, but found none: torch {torch.__version__} {reason}"
        raise NoGPUError(msg)
    module = torch.get_device_module(kind)
    name = str(module.get_device_name(0)) if hasattr(module, "get_device_name") else kind
    return f"null {name}" if is_active() else name


def gpu_device() -> Device:
    """Return what torch's GPU is: `NULL_GPU` where the null GPU stands in for one, else `CUDA`."""
    return Device.NULL_GPU if is_active() else Device.CUDA


def accelerator_kind() -> str:
    """Return torch's device type of this machine's accelerator (`cuda` includes ROCm), or an empty string.

    `torch.accelerator` is not used: once the simulated GPU is registered in a process, it reports that one.
    """
    import torch  # noqa: PLC0415 - loaded at pytest's start, where torch must not be

    return next((kind for kind in _ACCELERATORS if torch.get_device_module(kind).is_available()), "")


def torch_device(device: Device) -> str:
    """Return torch's name of the device on which a pipeline is built: `cpu`, or the machine's accelerator."""
    return (accelerator_kind() if device.is_gpu else "") or "cpu"


def slug(name: str) -> str:
    """Return a folder name for a device name: lower-case letters, digits and single hyphens."""
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
    """Return the CPU model, from /proc/cpuinfo on Linux and from `platform` elsewhere."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor() or platform.machine()
