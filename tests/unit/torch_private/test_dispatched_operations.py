"""Operations on a GPU are counted; `on_null_gpu/test_null_dispatched_operations.py` tests them with tensors there."""

from collections.abc import Callable

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from pytest_diffopt._torch_private.dispatched_operations import DispatchedOperations, _is_copy


@pytest.mark.parametrize(
    "call", [lambda cpu: cpu + 1, lambda cpu: torch._foreach_add_([cpu], 1), lambda cpu: cpu.to(torch.float64)]
)
def test_operations_on_the_host_are_not_counted(call: Callable[[torch.Tensor], object]) -> None:
    """Nor are copies there."""
    with DispatchedOperations() as dispatched:
        call(torch.ones(2))

    assert (dispatched.operations, dispatched.copies) == (0, 0)


def test_fake_tensors_are_not_counted() -> None:
    """They compute nothing: compilation works with them."""
    with FakeTensorMode(), DispatchedOperations() as dispatched:
        torch.ones(2, device="cuda").add_(1)

    assert dispatched.operations == 0


def test_a_copy_into_a_tensor_on_the_gpu_is_a_copy() -> None:
    """From the host; from the GPU it is an operation."""
    with FakeTensorMode():
        gpu, cpu = torch.ones(2, device="cuda"), torch.ones(2)

    assert _is_copy(torch.ops.aten.copy_.default, [gpu, cpu])
    assert not _is_copy(torch.ops.aten.copy_.default, [gpu, gpu])
    assert _is_copy(torch.ops.aten._foreach_copy_.default, [gpu, cpu])
    assert not _is_copy(torch.ops.aten._foreach_copy_.default, [gpu, gpu])


def test_dynamo_compiles_in_the_block() -> None:
    """It does not run everything uncompiled, and compiles nothing of the counting."""
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
