"""One block of times: base and head in turn, or both at once."""

from collections.abc import Callable
from typing import Protocol

from pytest_diffopt.errors import ProbeError
from pytest_diffopt.records import PairedBlock

#: Makes its calls and returns how many nanoseconds they took.
TimeSide = Callable[[], int]
#: Lets its calls begin, and returns what waits for their end.
BeginSide = Callable[[], TimeSide]


class TimeBlock(Protocol):
    """Times one block."""

    def __call__(self, *, base_first: bool) -> PairedBlock:
        """Time it, base first or head."""


def in_turn(base: TimeSide, head: TimeSide) -> TimeBlock:
    """Time one of them, the other twice, the first again: what drifts steadily hits both alike.

    Raises:
        ProbeError: by the block, when a time was not positive.
    """

    def time_block(*, base_first: bool) -> PairedBlock:
        outer, inner = (base, head) if base_first else (head, base)
        first = _positive(outer())
        middle = (_positive(inner()), _positive(inner()))
        both = (first, _positive(outer())), middle
        return PairedBlock(base_ns=both[not base_first], head_ns=both[base_first])

    return time_block


def side_by_side(base: BeginSide, head: BeginSide) -> TimeBlock:
    """Time both at once, twice: each of them is asked first once.

    What disturbs the machine for longer than the system lets one of them compute (a few milliseconds) hits both alike.

    Raises:
        ProbeError: by the block, when a time was not positive.
    """

    def time_block(*, base_first: bool) -> PairedBlock:
        rounds = [_at_once(base, head, base_first=one) for one in (base_first, not base_first)]
        (base_1, head_1), (base_2, head_2) = rounds
        return PairedBlock(base_ns=(base_1, base_2), head_ns=(head_1, head_2))

    return time_block


def _at_once(base: BeginSide, head: BeginSide, *, base_first: bool) -> tuple[int, int]:
    """Return base's time and head's."""
    if base_first:
        end_base, end_head = base(), head()
    else:
        end_head, end_base = head(), base()
    return _positive(end_base()), _positive(end_head())


def _positive(duration_ns: int) -> int:
    if duration_ns <= 0:
        msg = f"a call must take at least 1 ns, got: {duration_ns} ns from a worker: its times cannot be trusted"
        raise ProbeError(msg)
    return duration_ns
