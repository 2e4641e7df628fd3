"""Calls without values: what the host reads is replayed."""

from collections.abc import Iterator

import pytest
import torch

from pytest_diffopt.null_gpu.errors import HostReadsDifferError
from pytest_diffopt.null_gpu.values.computing import Values, computing
from pytest_diffopt.null_gpu.values.host_reads import without_values


@pytest.fixture(autouse=True)
def computed() -> Iterator[None]:
    """Compute all values, except in the calls without."""
    with computing(Values.ALL):
        yield


def test_later_calls_read_what_the_second_read() -> None:
    """Sizes, scalars and converted copies; the values themselves are not computed again."""
    factor = torch.ones((), device="cuda")

    def call() -> tuple[int, float, list[float]]:
        x = torch.arange(6.0, device="cuda") * factor
        return len((x > 2).nonzero()), x.sum().item(), x.to("cpu", torch.float64).tolist()

    timed = without_values(call)
    first, second = timed(), timed()
    factor.mul_(2)
    third = timed()

    assert first == second == third == (3, 15.0, [0.0, 1.0, 2.0, 3.0, 4.0, 5.0])


def test_two_calls_have_a_tape_each() -> None:
    """They may be made in any order."""
    one, two = torch.ones((), device="cuda"), torch.full((), 2.0, device="cuda")
    calls = [without_values(lambda: one.add(0).item()), without_values(lambda: two.add(0).item())]

    assert [[call() for call in calls] for _ in range(4)] == [[1.0, 2.0]] * 4


def test_another_number_of_reads_is_an_error() -> None:
    """Its control flow would not be that of the call with values."""
    x, more = torch.ones((), device="cuda"), [0, 0, 1]

    def call() -> None:
        for _ in range(1 + more.pop(0)):
            x.item()

    timed = without_values(call)
    timed()
    timed()

    with pytest.raises(HostReadsDifferError, match="reads back other values from the GPU than the same call before"):
        timed()


def test_values_are_computed_again_afterwards() -> None:
    """Only the calls themselves are without."""
    timed = without_values(lambda: torch.ones(1, device="cuda").mul_(3).item())
    for _ in range(3):
        timed()

    assert torch.full((1,), 3.0, device="cuda").mul_(2).item() == 6.0
