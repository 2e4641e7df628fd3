"""Calls without values: what the host reads is replayed."""

from collections.abc import Iterator

import pytest
import torch

from pytest_diffopt.null_gpu.clock import EntryType, learning, read_log, running
from pytest_diffopt.null_gpu.errors import HostReadsDifferError
from pytest_diffopt.null_gpu.values import dispatch_key
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

    with without_values(call) as timed:
        first, second = timed(), timed()
        factor.mul_(2)
        third = timed()

    assert first == second == third == (3, 15.0, [0.0, 1.0, 2.0, 3.0, 4.0, 5.0])


def test_two_calls_have_a_tape_each() -> None:
    """They may be made in any order."""
    one, two = torch.ones((), device="cuda"), torch.full((), 2.0, device="cuda")
    with without_values(lambda: one.add(0).item()) as first, without_values(lambda: two.add(0).item()) as second:
        assert [[call() for call in (first, second)] for _ in range(4)] == [[1.0, 2.0]] * 4


def test_one_call_may_be_without_values_before_another_is_computed() -> None:
    """As where two pipelines are compared, each of which is warmed up."""
    one, two = torch.ones((), device="cuda"), torch.full((), 2.0, device="cuda")
    with without_values(lambda: one.add(1).item()) as first, without_values(lambda: two.add(1).item()) as second:
        results = [first() for _ in range(3)] + [second() for _ in range(3)] + [first(), second()]

    assert results == [2.0] * 3 + [3.0] * 3 + [2.0, 3.0]


def test_another_number_of_reads_is_an_error() -> None:
    """Its control flow would not be that of the call with values."""
    x, more = torch.ones((), device="cuda"), [0, 0, 1]

    def call() -> None:
        for _ in range(1 + more.pop(0)):
            x.item()

    with without_values(call) as timed:
        timed()
        timed()

        with pytest.raises(
            HostReadsDifferError, match="reads back other values from the GPU than the same call before"
        ):
            timed()


def test_values_are_computed_again_afterwards() -> None:
    """Only the block is without."""
    with without_values(lambda: torch.ones(1, device="cuda").mul_(3).item()) as timed:
        for _ in range(3):
            timed()

    assert torch.full((1,), 3.0, device="cuda").mul_(2).item() == 6.0


def test_nothing_is_registered_between_two_calls_on_the_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """It takes tens of milliseconds, which would count as the call's."""
    registered: list[str] = []
    original = dispatch_key._register

    def register(name: str) -> None:
        registered.append(name)
        original(name)

    monkeypatch.setattr(dispatch_key, "_register", register)
    with without_values(lambda: torch.ones(1, device="cuda").item()) as timed:
        for _ in range(3):
            timed()
        registered.clear()
        for _ in range(2):
            timed()
        assert not registered

    assert "aten::mul.Tensor" in registered


def test_operations_for_lists_launch_the_same_without_values() -> None:
    """They have a kernel for all backends besides that of CUDA, which copies one tensor after the other."""
    values = [torch.ones(64, device="cuda"), torch.ones(8, device="cuda")]
    results = [torch.empty_like(one) for one in values]
    with without_values(lambda: torch._foreach_copy_(results, values)) as timed:
        timed()
        with learning() as numbers:
            timed()
            work = numbers()
        with running(work):  # an error if other work is enqueued
            timed()

    assert [(entry.type, "multi_tensor_apply" in entry.name) for entry in read_log()] == [(EntryType.WORK, True)]
