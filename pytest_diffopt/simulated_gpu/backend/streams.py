"""Streams and events of the simulated GPU. They order no work, since work on it takes no time: they count syncs."""

from typing import Any

from pytest_diffopt._torch_private.spare_backend import simulated_device
from pytest_diffopt.errors import SimulationError
from pytest_diffopt.simulated_gpu.backend.dispatch import Dispatcher
from pytest_diffopt.simulated_gpu.backend.tensor import SimulatedTensor

STREAM_SYNCHRONIZE = "torch.cuda.Stream.synchronize"
EVENT_SYNCHRONIZE = "torch.cuda.Event.synchronize"


def _count_sync(name: str) -> None:
    executor = SimulatedTensor.executor
    if not isinstance(executor, Dispatcher):
        message = f"{name} was called on a simulated GPU outside its block; use the stream inside the block"
        raise SimulationError(message)
    executor.note_syncs(name, {})


class Stream:
    """A queue of work, like `torch.cuda.Stream`; all its work is done.

    It may be kept after the block in which it was made, and used in a later one.
    """

    def __init__(self, *_: Any, **__: Any) -> None:
        self.device = simulated_device()

    def synchronize(self) -> None:
        """Count the sync that `torch.cuda.Stream.synchronize` makes."""
        _count_sync(STREAM_SYNCHRONIZE)

    def query(self) -> bool:
        """Return True: all work is done."""
        return True

    def wait_stream(self, stream: Any) -> None:
        """Do nothing: on a GPU this stream waits, the CPU does not."""

    def wait_event(self, event: Any) -> None:
        """Do nothing: on a GPU this stream waits, the CPU does not."""

    def record_event(self, event: "Event | None" = None) -> "Event":
        """Return the event, recorded."""
        recorded = event or Event()
        recorded.record(self)
        return recorded


class Event:
    """A mark in a stream, like `torch.cuda.Event`; all work before it is done."""

    def __init__(self, enable_timing: bool = False, **_: Any) -> None:  # noqa: FBT001, FBT002 - torch's signature
        self.enable_timing = enable_timing
        self._is_recorded = False

    def record(self, stream: Any = None) -> None:
        """Remember that there is something to wait for."""
        del stream
        self._is_recorded = True

    def wait(self, stream: Any = None) -> None:
        """Do nothing: on a GPU the stream waits, the CPU does not."""

    def query(self) -> bool:
        """Return True: all work is done."""
        return True

    def synchronize(self) -> None:
        """Count the sync that `torch.cuda.Event.synchronize` makes, if the event was recorded."""
        if self._is_recorded:
            _count_sync(EVENT_SYNCHRONIZE)

    def elapsed_time(self, _end: "Event") -> float:
        """Raise: a simulated GPU has no time.

        Raises:
            SimulationError: always.
        """
        message = "a simulated GPU runs no kernels, so no time passes between two of its events: measure it on a GPU"
        raise SimulationError(message)
