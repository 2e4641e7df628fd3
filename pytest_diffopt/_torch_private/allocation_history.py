"""The allocations of a block with their Python stacks, from the history of CUDA's caching allocator."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

import torch

# A call of 50 steps at full size makes some 100 000 events; more of them take seconds to read.
_MAX_EVENTS = 400_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Allocation:
    """Memory that the allocator gave to a tensor or took back.

    Attributes:
        address: where it is.
        num_bytes: the requested bytes; 0 where it was taken back.
        stack: the lines of Python that requested it, innermost first: path, line number and function.
    """

    address: int
    num_bytes: int
    stack: tuple[tuple[str, int, str], ...] = ()


@dataclass(kw_only=True, slots=True)
class AllocationHistory:
    """What the allocator did in a block, in order; empty where it could not be recorded as a whole."""

    events: list[Allocation] = field(default_factory=list)


@contextmanager
def allocations_recorded(device: torch.device | str) -> Iterator[AllocationHistory]:
    """Record the allocations of a block on a device; the history is complete when the block ends.

    Nothing is recorded on another device than CUDA, while the user records the allocator's history, or if there are
    more events than can be kept.
    """
    history = AllocationHistory()
    if not _can_record(torch.device(device)):
        yield history
        return
    _record("all", context="alloc", stacks="python", max_entries=_MAX_EVENTS, clear_history=True)
    try:
        yield history
        events = _events(torch.device(device))
        if len(events) < _MAX_EVENTS:
            history.events.extend(filter(None, map(_allocation, events)))
    finally:
        _record(None)


def _can_record(device: torch.device) -> bool:
    return device.type == "cuda" and torch.cuda.is_initialized() and not torch._C._cuda_isHistoryEnabled()  # type: ignore[no-untyped-call]


def _record(enabled: Literal["all"] | None, **options: Any) -> None:
    torch.cuda.memory._record_memory_history(enabled, **options)


def _events(device: torch.device) -> list[dict[str, Any]]:
    index = torch.cuda.current_device() if device.index is None else device.index
    traces: list[list[dict[str, Any]]] = torch.cuda.memory._snapshot()["device_traces"]
    return traces[index] if index < len(traces) else []


def _allocation(event: dict[str, Any]) -> Allocation | None:
    # tensors count as freed from the request on, as in the allocator's own peak
    if event["action"] == "free_requested":
        return Allocation(address=event["addr"], num_bytes=0)
    if event["action"] != "alloc":
        return None
    stack = tuple((frame["filename"], frame["line"], frame["name"]) for frame in event.get("frames", ()))
    return Allocation(address=event["addr"], num_bytes=event["size"], stack=stack)
