"""A block times both sides twice, in mirrored order: interleaved or concurrent."""

from collections.abc import Callable

import pytest

from pytest_diffopt.errors import ProbeError
from pytest_diffopt.paired.time_blocks import concurrent, interleaved
from pytest_diffopt.records import PairedBlock


class Workers:
    """Two workers that record when they begin (b, h) and when they are waited for (B, H); each time is a new number."""

    def __init__(self) -> None:
        """Start with no records."""
        self.order = ""
        self.times = iter(range(1, 9))

    def time(self, letter: str) -> Callable[[], int]:
        """Return a worker that begins and is waited for in one call."""
        begin = self.begin(letter)

        def time() -> int:
            end = begin()
            return end()

        return time

    def begin(self, letter: str) -> Callable[[], Callable[[], int]]:
        """Return a worker that begins in one call and is waited for in another."""

        def begin() -> Callable[[], int]:
            self.order += letter
            return end

        def end() -> int:
            self.order += letter.upper()
            return next(self.times)

        return begin


@pytest.mark.parametrize(
    ("base_first", "order", "block"),
    [
        (True, "bBhHhHbB", PairedBlock(base_ns=(1, 4), head_ns=(2, 3))),
        (False, "hHbBbBhH", PairedBlock(base_ns=(2, 3), head_ns=(1, 4))),
    ],
)
def test_interleaved_runs_one_side_at_a_time(*, base_first: bool, order: str, block: PairedBlock) -> None:
    """The first side is also the last, and each ends before the next begins."""
    workers = Workers()

    assert interleaved(workers.time("b"), workers.time("h"))(base_first=base_first) == block
    assert workers.order == order


@pytest.mark.parametrize(
    ("base_first", "order", "block"),
    [
        (True, "bhBHhbBH", PairedBlock(base_ns=(1, 3), head_ns=(2, 4))),
        (False, "hbBHbhBH", PairedBlock(base_ns=(1, 3), head_ns=(2, 4))),
    ],
)
def test_concurrent_runs_both_sides_at_once(*, base_first: bool, order: str, block: PairedBlock) -> None:
    """Both begin before either is waited for; each begins first once."""
    workers = Workers()

    assert concurrent(workers.begin("b"), workers.begin("h"))(base_first=base_first) == block
    assert workers.order == order


def test_time_of_zero_raises() -> None:
    """A worker whose clock does not advance is refused, interleaved and concurrent."""
    message = "a call must take at least 1 ns, got: 0 ns: the clock of a worker cannot be trusted"
    with pytest.raises(ProbeError, match=message):
        interleaved(lambda: 0, lambda: 1)(base_first=True)
    with pytest.raises(ProbeError, match=message):
        concurrent(lambda: lambda: 1, lambda: lambda: 0)(base_first=True)
