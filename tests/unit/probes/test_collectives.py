"""Collectives are counted with the bytes of the tensors that this process passes to them."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import distributed
from torch.distributed import _functional_collectives as functional
from torch.testing._internal.distributed.fake_pg import FakeStore

from pytest_diffopt.probes.call_position import CallPosition
from pytest_diffopt.probes.traced_operations import OperationTrace
from pytest_diffopt.records import OperationKind

FLOATS = torch.ones(6)


@pytest.fixture(autouse=True)
def _two_processes() -> Iterator[None]:
    distributed.init_process_group("fake", rank=0, world_size=2, store=FakeStore())
    yield
    distributed.destroy_process_group()


def everyone() -> distributed.ProcessGroup:
    """Return the group of both processes."""
    group = distributed.group.WORLD
    assert group is not None
    return group


def waited(result: Any) -> Any:
    """Wait for the result of a collective."""
    functions: Any = functional  # torch does not type it
    return functions.wait_tensor(result)


EXCHANGES: dict[str, Callable[[], object]] = {
    "_c10d_functional::all_to_all_single": lambda: waited(functional.all_to_all_single(FLOATS, None, None, everyone())),
    "_c10d_functional::all_gather_into_tensor": lambda: waited(
        torch.ops._c10d_functional.all_gather_into_tensor(FLOATS, 2, everyone().group_name)
    ),
    "_c10d_functional::all_reduce": lambda: waited(functional.all_reduce(FLOATS, "sum", everyone())),
    "c10d::allgather_": lambda: distributed.all_gather([torch.empty(6), torch.empty(6)], FLOATS),
    "c10d::allreduce_": lambda: distributed.all_reduce(FLOATS.clone()),
    "c10d::alltoall_base_": lambda: distributed.all_to_all_single(torch.empty(6), FLOATS),
    "c10d::broadcast_": lambda: distributed.broadcast(FLOATS.clone(), 0),
}


@pytest.mark.parametrize("name", EXCHANGES)
def test_a_collective_is_counted_once_with_its_bytes(name: str) -> None:
    """Those of the result, and the wait for it, are not counted."""
    trace = OperationTrace(CallPosition())
    with trace:
        EXCHANGES[name]()
    seen = [one for one in trace.operations() if one.kind is OperationKind.COLLECTIVE]

    assert [(one.name, one.count, one.moved_bytes) for one in seen] == [(name, 1, 24)]


def test_waiting_and_computing_are_no_collectives() -> None:
    """A barrier moves no values."""
    trace = OperationTrace(CallPosition())
    with trace:
        distributed.barrier()
        torch.ones(2, 2) @ torch.ones(2, 2)

    assert {one.kind for one in trace.operations()} == {OperationKind.MATMUL}
