"""PyTorch's spare backend (`PrivateUse1`), on which the simulated GPU is implemented.

Since torch 2.11 the backend can be registered from Python. Registration happens once per process and cannot be undone,
so it is kept invisible. The backend is not named: a named backend becomes `torch.accelerator` for the rest of the
process. `torch.privateuseone` exists only while a GPU is simulated. A backward pass is the exception: torch's autograd
requires an accelerator for it.
"""

import functools
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.utils import _device, backend_registration

from pytest_diffopt._torch_private.kernel_registration import register_autocast_fallthrough
from pytest_diffopt.errors import SimulationError

DEVICE_TYPE = "privateuseone"  # torch's name of the backend while no package has renamed it
_VERSION_WITH_PYTHON_BACKENDS = "2.11"


def remember_device_constructors() -> None:
    """Let torch remember which functions `with torch.device(...)` affects: its own, before any is replaced.

    Torch collects them when such a block is first used, and never again.
    """
    _device._device_constructors()


def claim_backend() -> torch.device:
    """Register the simulated GPU as torch's spare backend, once per process.

    Returns:
        The device.

    Raises:
        SimulationError: torch is too old, or another package has registered a backend.
    """
    _require_supported()
    _require_unclaimed()
    _register()
    return simulated_device()


def _require_supported() -> None:
    if not hasattr(backend_registration, "_setup_privateuseone_for_python_backend"):
        message = (
            f"the simulated GPU needs torch >= {_VERSION_WITH_PYTHON_BACKENDS}, which can register a backend from "
            f"Python; this is torch {torch.__version__}"
        )
        raise SimulationError(message)


@functools.lru_cache(maxsize=1)
def _register() -> None:
    # The parts of torch's function that do not add names to torch, to its tensors and to its modules.
    accelerators: Any = torch._C._acc
    accelerators.register_python_privateuseone_hook(_hooks())
    accelerators.register_python_privateuseone_device_guard(_device_guard())
    register_autocast_fallthrough()


def _hooks() -> Any:
    hooks: Callable[[], Any] = backend_registration._DummyPrivateUse1Hook
    return hooks()


def _device_guard() -> Any:
    guard: Callable[[], Any] = backend_registration._DummyDeviceGuard
    return guard()


class _NoDevice:
    """The module `torch.privateuseone` outside of all blocks, after a backward pass: there is no device."""

    def is_available(self) -> bool:
        return False

    def device_count(self) -> int:
        return 0

    def _is_in_bad_fork(self) -> bool:
        return False

    def manual_seed_all(self, _seed: int) -> None:
        pass


_NO_DEVICE = _NoDevice()
_MODULE_NAME = f"{torch.__name__}.{DEVICE_TYPE}"


@contextmanager
def device_module(module: object) -> Iterator[None]:
    """Let torch find the functions of the simulated GPU in `torch.privateuseone` while the block runs."""
    _set_module(module)
    try:
        yield
    finally:
        if _is_accelerator():
            _set_module(_NO_DEVICE)
        else:
            delattr(torch, DEVICE_TYPE)
            del sys.modules[_MODULE_NAME]
            torch.get_device_module.cache_clear()


def _set_module(module: object) -> None:
    setattr(torch, DEVICE_TYPE, module)
    sys.modules[_MODULE_NAME] = module  # type: ignore[assignment] # torch, too, registers objects of other classes
    torch.get_device_module.cache_clear()  # it would return the module of an earlier block


def _is_accelerator() -> bool:
    found = torch.accelerator.current_accelerator()
    return found is not None and found.type == DEVICE_TYPE


def require_accelerator() -> None:
    """Let torch have an accelerator, without which its autograd runs no backward pass on the spare backend.

    If there is none, the spare backend becomes it until the process ends, under its own name. Outside of the blocks
    `torch.accelerator.is_available()` is False nevertheless.
    """
    if torch.accelerator.current_accelerator() is None:
        torch.utils.rename_privateuse1_backend(DEVICE_TYPE)  # type: ignore[attr-defined]  # documented, not exported


def _require_unclaimed() -> None:
    name = backend_name()
    if name != DEVICE_TYPE:
        message = (
            f"the simulated GPU needs PyTorch's spare backend (PrivateUse1), and {_owner(name)} has registered it in "
            f"this process; run the simulation in a process that does not import that package"
        )
        raise SimulationError(message)


def backend_name() -> str:
    """Return the name of torch's spare backend; `privateuseone` until a package renames it."""
    return str(torch._C._get_privateuse1_backend_name())


def _owner(backend: str) -> str:
    module = getattr(torch, backend, None)
    file = getattr(module, "__file__", None) or type(module).__module__
    return f"{backend!r} ({file})"


@functools.lru_cache(maxsize=1)
def simulated_device() -> torch.device:
    """Return the device `privateuseone:0`."""
    return torch.device(DEVICE_TYPE, 0)
