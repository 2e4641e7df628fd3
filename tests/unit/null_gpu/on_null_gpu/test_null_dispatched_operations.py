"""What the guards of a real GPU count as evidence, on torch's own CUDA code; counting does not change its branches."""

import threading
from collections.abc import Callable

import pytest
import torch

from pytest_diffopt._torch_private.dispatched_operations import DispatchedOperations
from pytest_diffopt.null_gpu.values.computing import Values, computing
from pytest_diffopt.probes.sync_warnings import noting_sync_warnings
from pytest_diffopt.probes.syncs import watch_syncs
from pytest_diffopt.records import Device, Subject
from pytest_diffopt.records.code_location import users_line


@pytest.mark.parametrize(
    ("call", "operations", "copies"),
    [
        (lambda gpu, _cpu: gpu + 1, 1, 0),
        (lambda gpu, _cpu: torch.cat([gpu, gpu]), 1, 0),
        (lambda gpu, _cpu: gpu * torch.tensor(2.0), 1, 0),
        (lambda gpu, _cpu: torch.zeros(2, device=gpu.device), 1, 0),
        (lambda gpu, _cpu: torch._foreach_add_([gpu, gpu], 1), 1, 0),
        (lambda gpu, _cpu: torch._foreach_copy_([gpu], [gpu]), 1, 0),
        (lambda gpu, cpu: gpu.copy_(cpu), 0, 1),
        (lambda gpu, cpu: cpu.to(gpu.device), 0, 1),
        (lambda gpu, _cpu: gpu.cpu(), 0, 0),
        (lambda gpu, _cpu: gpu.view(1, 2), 0, 0),
    ],
    ids=[
        "add",
        "cat",
        "scalar",
        "factory",
        "in place",
        "static inputs",
        "into the GPU",
        "to the GPU",
        "to the host",
        "view",
    ],
)
@pytest.mark.parametrize("computes", [False, True], ids=["without values", "with values"])
def test_what_is_counted(
    call: Callable[[torch.Tensor, torch.Tensor], object], operations: int, copies: int, *, computes: bool
) -> None:
    """Each kind of operation, whether or not the null GPU computes its values under the same dispatch key."""
    gpu, cpu = torch.ones(2, device="cuda"), torch.ones(2)
    if computes:
        with computing(Values.ALL), DispatchedOperations() as dispatched:
            call(gpu, cpu)
    else:
        with DispatchedOperations() as dispatched:
            call(gpu, cpu)

    assert (dispatched.operations, dispatched.copies) == (operations, copies)


def test_the_replay_of_a_cuda_graph_is_one_operation() -> None:
    """It dispatches none; a replay on another thread, and after the block, is not counted."""
    gpu, graph = torch.ones(2, device="cuda"), torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        gpu.add_(1).mul_(2)
    with DispatchedOperations() as dispatched:
        graph.replay()
        other = threading.Thread(target=graph.replay)
        other.start()
        other.join()
    graph.replay()

    assert (dispatched.operations, dispatched.copies) == (1, 0)


def test_nothing_is_counted_after_the_block() -> None:
    """Also if the block raises."""
    gpu = torch.ones(2, device="cuda")
    counted = DispatchedOperations()
    with pytest.raises(RuntimeError, match="size of tensor"), counted:
        gpu.add_(1).add_(torch.ones(3, device="cuda"))
    before = counted.operations
    gpu.add_(1)

    assert (before, counted.operations) == (2, 2)  # `ones` and the first addition


def weighted_loss(values: torch.Tensor) -> object:
    """Compute a loss with weighted classes and smooth labels, for which torch reads a value only without a mode."""
    labels = torch.arange(4, device="cuda") % 3
    return torch.nn.functional.cross_entropy(values[:, :3], labels, weight=values[0, :3], label_smoothing=0.1)


def eigenvalues(values: torch.Tensor) -> object:
    """Compute eigenvalues, of which torch checks on the host whether they were found."""
    return torch.linalg.eigvals(values)


@pytest.mark.parametrize(("call", "expected"), [(weighted_loss, 1), (eigenvalues, 2)])
def test_watched_call_has_the_syncs_that_torch_reports_alone(
    call: Callable[[torch.Tensor], object], expected: int
) -> None:
    """In number and line; under a dispatch mode `cross_entropy` had none, and `eigvals` one more."""
    values = torch.eye(4, device="cuda")
    with computing(Values.ALL):
        call(values)
        alone: list[str] = []
        with noting_sync_warnings(lambda frame: alone.append(str(users_line(frame)))):
            torch.cuda.set_sync_debug_mode("warn")
            call(values)
            torch.cuda.set_sync_debug_mode("default")
        with watch_syncs(call, Subject(pipeline="the call", device=Device.CUDA)) as watch:
            call(values)

    record = watch.record
    assert len(alone) == expected
    assert [str(sync.where) for sync in record.syncs] == alone
    assert record.operations[0] > 0
