"""A block times both sides twice, in mirrored order: in turn, or both at once."""

from collections.abc import Callable

import pytest

from pytest_diffopt.errors import ProbeError
from pytest_diffopt.paired.time_blocks import in_turn, side_by_side
from pytest_diffopt.records import PairedBlock


class Workers:
    """Two workers that write down when they are asked and when they are waited for; each time is the next number."""

    def __init__(self) -> None:
        """Begin with nothing asked."""
        self.order = ""
        self.times = iter(range(1, 9))

    def time(self, letter: str) -> Callable[[], int]:
        """Return a worker that is asked and waited for in one."""
        begin = self.begin(letter)

        def time() -> int:
            end = begin()
            return end()

        return time

    def begin(self, letter: str) -> Callable[[], Callable[[], int]]:
        """Return a worker that is asked first and waited for later."""

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
def test_in_turn_one_runs_at_a_time(*, base_first: bool, order: str, block: PairedBlock) -> None:
    """The first is also the last, and each is waited for before the next is asked."""
    workers = Workers()

    assert in_turn(workers.time("b"), workers.time("h"))(base_first=base_first) == block
    assert workers.order == order


@pytest.mark.parametrize(
    ("base_first", "order", "block"),
    [
        (True, "bhBHhbBH", PairedBlock(base_ns=(1, 3), head_ns=(2, 4))),
        (False, "hbBHbhBH", PairedBlock(base_ns=(1, 3), head_ns=(2, 4))),
    ],
)
def test_side_by_side_both_run_at_once(*, base_first: bool, order: str, block: PairedBlock) -> None:
    """Both are asked before either is waited for, each of them first once."""
    workers = Workers()

    assert side_by_side(workers.begin("b"), workers.begin("h"))(base_first=base_first) == block
    assert workers.order == order


def test_a_time_that_cannot_be_one_is_an_error() -> None:
    """A worker whose clock stands still is not believed, however it is asked."""
    told = "a call must take at least 1 ns, got: 0 ns from a worker: its times cannot be trusted"
    with pytest.raises(ProbeError, match=told):
        in_turn(lambda: 0, lambda: 1)(base_first=True)
    with pytest.raises(ProbeError, match=told):
        side_by_side(lambda: lambda: 1, lambda: lambda: 0)(base_first=True)
