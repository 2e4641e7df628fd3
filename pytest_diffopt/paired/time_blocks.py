"""One block of times: base and head interleaved or concurrent."""

from collections.abc import Callable
from typing import Protocol

from pytest_diffopt.errors import ProbeError
from pytest_diffopt.records import PairedBlock

#: Makes the calls of one side and returns their duration in nanoseconds.
TimeSide = Callable[[], int]
#: Starts the calls of one side, and returns a function that waits for their end.
BeginSide = Callable[[], TimeSide]


class TimeBlock(Protocol):
    """Times one block."""

    def __call__(self, *, base_first: bool) -> PairedBlock:
        """Time a block that begins with base or with head."""


def interleaved(base: TimeSide, head: TimeSide) -> TimeBlock:
    """Return a block that times one side, the other side twice, and the first again, so that linear drift cancels.

    Raises:
        ProbeError: a time was not positive (raised by the block).
    """

    def time_block(*, base_first: bool) -> PairedBlock:
        outer, inner = (base, head) if base_first else (head, base)
        first = _positive(outer())
        middle = (_positive(inner()), _positive(inner()))
        both = (first, _positive(outer())), middle
        return PairedBlock(base_ns=both[not base_first], head_ns=both[base_first])

    return time_block


def concurrent(base: BeginSide, head: BeginSide) -> TimeBlock:
    """Return a block that times both sides at once, twice; each side is started first once.

    Disturbances that last longer than a time slice of the scheduler (a few milliseconds) affect both sides equally.

    Raises:
        ProbeError: a time was not positive (raised by the block).
    """

    def time_block(*, base_first: bool) -> PairedBlock:
        rounds = [_at_once(base, head, base_first=first) for first in (base_first, not base_first)]
        (base_1, head_1), (base_2, head_2) = rounds
        return PairedBlock(base_ns=(base_1, base_2), head_ns=(head_1, head_2))

    return time_block


def _at_once(base: BeginSide, head: BeginSide, *, base_first: bool) -> tuple[int, int]:
    """Return the times of base and head."""
    if base_first:
        end_base, end_head = base(), head()
    else:
        end_head, end_base = head(), base()
    return _positive(end_base()), _positive(end_head())


def _positive(duration_ns: int) -> int:
    if duration_ns <= 0:
        msg = f"a call must take at least 1 ns, got: {duration_ns} ns: the clock of a worker cannot be trusted"
        raise ProbeError(msg)
    return duration_ns
