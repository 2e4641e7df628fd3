"""The lines of user code that hold memory of the simulated GPU."""

from collections.abc import Iterable

from pytest_diffopt.records import MemoryHolder
from pytest_diffopt.records.code_location import CodeLocation

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
