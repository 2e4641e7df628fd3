"""Operations on a GPU are counted, and copies over the bus are not; fake tensors stand in for those of a GPU."""

from collections.abc import Callable

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from pytest_diffopt._torch_private.dispatched_operations import DispatchedOperations, _is_copy


@pytest.mark.parametrize(
    ("call", "operations", "copies"),
    [
        (lambda gpu, _cpu: gpu + 1, 1, 0),
        (lambda gpu, _cpu: torch.cat([gpu, gpu]), 1, 0),
        (lambda gpu, _cpu: gpu * torch.tensor(2.0), 1, 0),
        (lambda gpu, _cpu: torch.zeros(2, device=gpu.device), 1, 0),
        (lambda gpu, _cpu: torch._foreach_add_([gpu, gpu], 1), 1, 0),
        (lambda gpu, _cpu: torch._foreach_copy_([gpu], [gpu]), 1, 0),
        (lambda _gpu, cpu: torch._foreach_add_([cpu], 1), 0, 0),
        (lambda _gpu, cpu: cpu + 1, 0, 0),
        (lambda gpu, cpu: cpu.to(gpu.device), 0, 1),
        (lambda gpu, _cpu: gpu.cpu(), 0, 0),
    ],
    ids=[
        "add",
        "cat",
        "scalar",
        "factory",
        "in place",
        "static inputs",
        "in place on the host",
        "on the host",
        "to the GPU",
        "to the host",
    ],
)
def test_what_is_counted(call: Callable[[torch.Tensor, torch.Tensor], object], operations: int, copies: int) -> None:
    """Each kind of operation."""
    with FakeTensorMode():
        gpu, cpu = torch.ones(2, device="cuda"), torch.ones(2)
        with DispatchedOperations() as mode:
            call(gpu, cpu)

    assert (mode.operations, mode.copies) == (operations, copies)


def test_a_copy_into_a_tensor_on_the_gpu_is_a_copy() -> None:
    """From the host; from the GPU it is an operation."""
    with FakeTensorMode():
        gpu, cpu = torch.ones(2, device="cuda"), torch.ones(2)

    assert _is_copy(torch.ops.aten.copy_.default, [gpu, cpu])
    assert not _is_copy(torch.ops.aten.copy_.default, [gpu, gpu])
    assert _is_copy(torch.ops.aten._foreach_copy_.default, [gpu, cpu])
    assert not _is_copy(torch.ops.aten._foreach_copy_.default, [gpu, gpu])


def test_dynamo_compiles_under_the_mode() -> None:
    """A mode of another kind would make it run everything uncompiled."""
    torch.compiler.reset()
    graphs = []

    def backend(graph: torch.fx.GraphModule, _inputs: object) -> Callable[..., object]:
        graphs.append(graph)
        return graph.forward

    compiled = torch.compile(lambda x: x + 1, backend=backend)
    with DispatchedOperations():
        compiled(torch.ones(2))
    torch.compiler.reset()

    assert len(graphs) == 1
