"""The lines of user code that hold memory."""

from collections.abc import Iterable, Sequence

from pytest_diffopt._torch_private.allocation_history import Allocation
from pytest_diffopt.records import MemoryHolder
from pytest_diffopt.records.code_location import UNKNOWN_LOCATION, CodeLocation, is_machinery, locate

# Enough for every message and page; the rest holds a small part.
_MOST_HOLDERS = 5

#: A line with the bytes that it holds.
HeldBytes = tuple[CodeLocation, int]


def holders_of(held: Iterable[HeldBytes]) -> tuple[MemoryHolder, ...]:
    """Return the lines that hold most, the largest first."""
    return tuple(MemoryHolder(where=where, held_bytes=nbytes) for where, nbytes in held)[:_MOST_HOLDERS]


def grown_holders(before: Iterable[HeldBytes], after: Iterable[HeldBytes]) -> tuple[MemoryHolder, ...]:
    """Return the lines that hold more than before, with the growth, the largest first."""
    then = dict(before)
    growth = [(where, nbytes - then.get(where, 0)) for where, nbytes in after]
    return holders_of(sorted((one for one in growth if one[1] > 0), key=lambda one: -one[1]))


def holders_at_peak(history: Sequence[Allocation]) -> tuple[MemoryHolder, ...]:
    """Return the lines whose allocations of a history held most when all together held most, the largest first."""
    live: dict[int, Allocation] = {}
    for event in history[: _end_of_peak(history)]:
        _apply(event, live)
    held: dict[CodeLocation, int] = {}
    for one in live.values():
        where = _users_line(one)
        held[where] = held.get(where, 0) + one.num_bytes
    return holders_of(sorted(held.items(), key=lambda one: -one[1]))


def _end_of_peak(history: Sequence[Allocation]) -> int:
    """Return how many events lead to the first moment at which most is held."""
    live: dict[int, Allocation] = {}
    now = most = end = 0
    for number, event in enumerate(history, start=1):
        now += _apply(event, live)
        if now > most:
            most, end = now, number
    return end


def _apply(event: Allocation, live: dict[int, Allocation]) -> int:
    """Update what is allocated, and return by how many bytes it grew."""
    before = live.pop(event.address, None)
    if event.num_bytes:
        live[event.address] = event
    return event.num_bytes - (before.num_bytes if before else 0)


def _users_line(allocation: Allocation) -> CodeLocation:
    """Return the innermost line of user code."""
    outside = (place for place in allocation.stack if not is_machinery(place[0]))
    return next((locate(*place) for place in outside), UNKNOWN_LOCATION)
