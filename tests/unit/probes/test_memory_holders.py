"""The lines that held most memory when most was held, found in a history of allocations."""

from pathlib import Path

import torch

from pytest_diffopt._torch_private.allocation_history import Allocation, allocations_recorded
from pytest_diffopt.probes.memory_holders import holders_at_peak

USER = str(Path(__file__).parents[3] / "examples" / "pipeline.py")
TORCH = torch.__file__


def allocated(address: int, num_bytes: int, line: int) -> Allocation:
    """Return memory that torch allocated for a line of the user."""
    return Allocation(
        address=address, num_bytes=num_bytes, stack=((TORCH, 1, "forward"), (USER, line, "step"), (USER, 99, "main"))
    )


def freed(address: int) -> Allocation:
    """Return memory that was taken back."""
    return Allocation(address=address, num_bytes=0)


def held(*events: Allocation) -> list[tuple[int, int]]:
    """Return line and bytes of the holders of a history."""
    return [(one.where.line, one.held_bytes) for one in holders_at_peak(events)]


def test_only_what_is_held_at_the_peak_counts() -> None:
    """Memory that was freed before, or allocated after, is not held; a line's allocations are summed."""
    events = [allocated(0, 900, 1), freed(0), allocated(0, 600, 2), allocated(8, 400, 3), allocated(16, 300, 2)]
    later = [freed(8), allocated(24, 100, 4)]

    assert held(*events, *later) == [(2, 900), (3, 400)]


def test_the_innermost_line_of_the_user_is_named() -> None:
    """Torch's own lines are skipped; memory without a line of the user has none."""
    found = holders_at_peak([allocated(0, 10, 7), Allocation(address=8, num_bytes=5, stack=((TORCH, 1, "forward"),))])

    assert [(one.where.function, one.where.line) for one in found] == [("step", 7), ("<unknown>", 0)]


def test_an_address_that_is_given_twice_is_held_once() -> None:
    """The end of its first life is missing in the history: it began in another pool."""
    assert held(allocated(0, 10, 1), allocated(0, 20, 2)) == [(2, 20)]


def test_memory_from_before_the_history_is_not_counted() -> None:
    """Its end alone is in the history."""
    assert held(freed(0), allocated(8, 10, 1)) == [(1, 10)]
    assert held() == []


def test_nothing_is_recorded_without_cuda() -> None:
    """The history of another device is empty."""
    with allocations_recorded("cpu") as history:
        torch.ones(3)

    assert history.events == []
