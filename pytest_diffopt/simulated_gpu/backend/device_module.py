"""The module `torch.privateuseone` of the simulated GPU: what `torch.cuda` is to a CUDA GPU."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch

from pytest_diffopt._torch_private.spare_backend import simulated_device
from pytest_diffopt.simulated_gpu.backend import streams
from pytest_diffopt.simulated_gpu.cost.memory import Memory


class DeviceModule:
    """The functions that torch, diffusers and accelerate call on the module of a device.

    Args:
        memory: the memory of the device.
        on_synchronize: called with the name of the function when a program synchronizes with the device.
    """

    Stream = streams.Stream
    Event = streams.Event

    def __init__(self, memory: Memory, on_synchronize: Callable[[str], None]) -> None:
        self._memory = memory
        self._on_synchronize = on_synchronize
        self._default_stream = self._stream = streams.Stream()

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
        self._on_synchronize(f"torch.{simulated_device().type}.synchronize")

    def default_stream(self, _device: Any = None) -> streams.Stream:
        """Return the default stream."""
        return self._default_stream

    def current_stream(self, _device: Any = None) -> streams.Stream:
        """Return the current stream."""
        return self._stream

    def set_stream(self, stream: streams.Stream) -> None:
        """Make a stream the current one."""
        self._stream = stream

    @contextmanager
    def stream(self, stream: streams.Stream | None) -> Iterator[None]:
        """Make a stream the current one within the block; None changes nothing."""
        before = self._stream
        self._stream = stream or before
        try:
            yield
        finally:
            self._stream = before

    def empty_cache(self) -> None:
        """Release cached memory, which synchronizes if there is any: `cudaFree` waits for the device."""
        if self._memory.release_cached():
            self._on_synchronize("torch.cuda.empty_cache")

    def memory_allocated(self, _device: Any = None) -> int:
        """Return the bytes that are allocated now, with cuBLAS' workspace."""
        return self._memory.live_bytes + self._memory.workspace_bytes

    def max_memory_allocated(self, _device: Any = None) -> int:
        """Return the peak of the allocated bytes, with cuBLAS' workspace."""
        return self._memory.peak_bytes + self._memory.workspace_bytes

    def memory_reserved(self, _device: Any = None) -> int:
        """Return the bytes that the caching allocator has reserved now."""
        return self._memory.reserved_bytes

    def max_memory_reserved(self, _device: Any = None) -> int:
        """Return the peak of the reserved bytes."""
        return self._memory.peak_reserved_bytes
