"""PyTorch's spare backend (`PrivateUse1`), registered as the device `simgpu`.

Since torch 2.11 the backend can be registered from Python. Registration happens once per process and cannot be undone;
afterwards torch keeps the device name `simgpu` and the module `torch.simgpu`.
"""

import functools
from collections.abc import Callable
from typing import Any

import torch
from torch.utils import backend_registration

from pytest_diffopt._torch_private.kernel_registration import register_autocast_fallthrough
from pytest_diffopt.errors import SimulationError

DEVICE_TYPE = "simgpu"
_VERSION_WITH_PYTHON_BACKENDS = "2.11"


class BackendModule:
    """The module `torch.simgpu`, with the functions that torch and its users call.

    Attributes:
        memory_bytes: returns the allocated bytes of the running simulation: now, and at most.
        on_synchronize: called with the name of the function when a program synchronizes with the device.
    """

    def __init__(self) -> None:
        self.memory_bytes: Callable[[], tuple[int, int]] = lambda: (0, 0)
        self.on_synchronize: Callable[[str], None] = lambda _: None

    def is_initialized(self) -> bool:
        """Return True: the device needs no initialization."""
        return True

    def is_available(self) -> bool:
        """Return True."""
        return True

    def current_device(self) -> int:
        """Return the index of the only device."""
        return 0

    def set_device(self, device: Any) -> None:
        """Do nothing: there is only one device."""

    def device_count(self) -> int:
        """Return the number of devices, which is 1."""
        return 1

    def _is_in_bad_fork(self) -> bool:
        return False

    def manual_seed_all(self, seed: int) -> None:
        """Do nothing: random numbers come from the host's generator, which torch has already seeded."""

    def get_amp_supported_dtype(self) -> list[torch.dtype]:
        """Return the dtypes that autocast supports on CUDA."""
        return [torch.float16, torch.bfloat16, torch.float32]

    def get_rng_state(self, _device: Any = None) -> torch.Tensor:
        """Return the state of the host's generator, which draws this device's random numbers."""
        return torch.get_rng_state()

    def set_rng_state(self, state: torch.Tensor, _device: Any = None) -> None:
        """Set the state of the host's generator."""
        torch.set_rng_state(state)

    def synchronize(self, _device: Any = None) -> None:
        """Count an explicit synchronization."""
        self.on_synchronize("torch.simgpu.synchronize")

    def empty_cache(self) -> None:
        """Do nothing: the simulation caches no memory."""

    def memory_allocated(self, _device: Any = None) -> int:
        """Return the bytes that are allocated now."""
        return self.memory_bytes()[0]

    def max_memory_allocated(self, _device: Any = None) -> int:
        """Return the peak of the allocated bytes."""
        return self.memory_bytes()[1]


BACKEND = BackendModule()


@functools.lru_cache(maxsize=1)
def claim_backend() -> torch.device:
    """Register the simulated GPU as torch's spare backend, once per process.

    Raises:
        SimulationError: torch is too old, or another package has registered a backend.
    """
    set_up = _setup_function()
    if getattr(torch, DEVICE_TYPE, None) is not BACKEND:
        _require_unclaimed()
        set_up(rename=DEVICE_TYPE, backend_module=BACKEND)
        register_autocast_fallthrough()
    return torch.device(DEVICE_TYPE, 0)


def _setup_function() -> Callable[..., None]:
    found: Callable[..., None] | None = getattr(backend_registration, "_setup_privateuseone_for_python_backend", None)
    if found is None:
        message = (
            f"the simulated GPU needs torch >= {_VERSION_WITH_PYTHON_BACKENDS}, which can register a backend from "
            f"Python; this is torch {torch.__version__}"
        )
        raise SimulationError(message)
    return found


def _require_unclaimed() -> None:
    name = backend_name()
    if name != "privateuseone":
        message = (
            f"the simulated GPU needs PyTorch's spare backend (PrivateUse1), and {_owner(name)} has registered it in "
            f"this process; run the simulation in a process that does not import that package"
        )
        raise SimulationError(message)


def backend_name() -> str:
    """Return the name of torch's spare backend; `privateuseone` until a package registers it."""
    return str(torch._C._get_privateuse1_backend_name())


def _owner(backend: str) -> str:
    module = getattr(torch, backend, None)
    file = getattr(module, "__file__", None) or type(module).__module__
    return f"{backend!r} ({file})"


@functools.lru_cache(maxsize=1)
def simulated_device() -> torch.device:
    """Return the device `simgpu:0`; valid only after `claim_backend`."""
    return torch.device(DEVICE_TYPE, 0)
