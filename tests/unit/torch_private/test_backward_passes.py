"""Where a backward pass runs is read from its graph."""

import torch
from torch.autograd.graph import get_gradient_edge

from pytest_diffopt._torch_private.backward_passes import backward_function, is_without_queue, runs_on


def test_the_function_starts_backward_passes() -> None:
    """It is called with the outputs as the first argument."""
    module, name, function = backward_function()
    weight = torch.ones(2, requires_grad=True)
    options = (False, False)  # keep the graph, create another one
    function((weight.sum(),), (torch.tensor(1.0),), *options, (weight,), allow_unreachable=True)

    assert getattr(module, name) is function


def test_the_devices_are_those_of_the_graph() -> None:
    """Also behind a copy to another device, and from an edge of the graph; a leaf has no graph."""
    leaf = torch.ones(2, requires_grad=True)
    on_meta = torch.ones(2, device="meta", requires_grad=True)
    copied = torch.empty_like(on_meta, device="cpu").requires_grad_()
    moved = (leaf.to("meta") * on_meta).sum()

    assert runs_on([leaf.sum()], "cpu")
    assert not runs_on([leaf.sum(), copied], "meta")
    assert runs_on([moved], "cpu")
    assert runs_on([leaf.to("meta").sum()], "meta")
    assert runs_on([get_gradient_edge(moved)], "meta")
    assert runs_on([on_meta], "meta")


def test_the_missing_queue_is_recognized() -> None:
    """By the expression that torch asserts."""
    assert is_without_queue(RuntimeError("device.index() < (device_ready_queues_.size()) INTERNAL ASSERT FAILED"))
    assert not is_without_queue(RuntimeError("another"))
