"""A project that trains with torch: autograd, the accelerator, loaders, compilers, generators, settings."""

import warnings
from typing import Any

import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset


class Layer(torch.nn.Module):
    """A linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = torch.nn.Linear(4, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the positive part."""
        return torch.relu(self.linear(x))


@pytest.fixture
def device() -> torch.device:
    """Return the accelerator if there is one, as torch's documentation has it."""
    found = torch.accelerator.current_accelerator(check_available=True)
    return found or torch.device("cpu")


def test_gradients(device: torch.device) -> None:
    """Pass."""
    weight = torch.ones(2, requires_grad=True, device=device)
    (weight * 3).sum().backward()  # type: ignore[no-untyped-call]
    assert weight.grad is not None
    assert weight.grad.tolist() == [3, 3]


def test_gradients_are_checked() -> None:
    """Pass."""
    assert torch.autograd.gradcheck(torch.sin, torch.ones(3, dtype=torch.double, requires_grad=True))


def test_accelerator() -> None:
    """Pass: the accelerator is CUDA's, or there is none."""
    found = torch.accelerator.current_accelerator()
    assert str(found) == ("cuda" if torch.cuda.is_available() else "None")
    assert torch.accelerator.is_available() == torch.cuda.is_available()
    assert not hasattr(torch, "privateuseone")


def test_loader_with_pinned_memory(device: torch.device) -> None:
    """Pass: the losses decrease."""
    torch.manual_seed(0)
    layer = torch.nn.Linear(4, 1).to(device)
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.05)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's own, without an accelerator
        batches = list(DataLoader(TensorDataset(torch.ones(8, 4), torch.ones(8, 1)), batch_size=4, pin_memory=True))
    losses = []
    for x, y in [*batches, *batches]:
        loss = torch.nn.functional.mse_loss(layer(x.to(device)), y.to(device))
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        losses.append(loss.item())
    assert losses == sorted(losses, reverse=True)


def test_loader_with_workers() -> None:
    """Pass: the batches come from another process."""
    batches: Any = torch.arange(4.0)
    assert [batch.tolist() for batch in DataLoader(batches, batch_size=2, num_workers=1)] == [[0, 1], [2, 3]]


def test_compiler_is_asked_once_for_each_shape() -> None:
    """Pass: the project counts its compilations itself."""
    torch.compiler.reset()
    graphs: list[Any] = []

    def counting(graph: Any, _inputs: Any) -> Any:
        graphs.append(graph)
        return graph.forward

    compiled = torch.compile(Layer(), backend=counting, dynamic=False)
    for rows in (1, 1, 2, 2):
        compiled(torch.ones(rows, 4))
    assert len(graphs) == 2


def test_compiled_gradients() -> None:
    """Pass: a compiled layer has the gradients of the plain one."""
    layer, x = Layer(), torch.ones(2, 4)
    plain = torch.autograd.grad(layer(x).sum(), list(layer.parameters()))
    compiled = torch.compile(layer, backend="aot_eager")
    found = torch.autograd.grad(compiled(x).sum(), list(layer.parameters()))
    torch.testing.assert_close(found, plain)


def test_graph_break_is_explained() -> None:
    """Pass: torch's own explanation counts the break."""

    def breaks(x: torch.Tensor) -> torch.Tensor:
        torch._dynamo.graph_break()
        return x + 1

    torch.compiler.reset()
    assert torch._dynamo.explain(lambda x: breaks(x * 2))(torch.ones(2)).graph_break_count >= 1


def test_compiler_is_torch_s() -> None:
    """Pass: the compiler's functions are those that torch defines."""
    from torch._dynamo import convert_frame, output_graph, symbolic_convert  # noqa: PLC0415 - with torch.compile only

    functions: list[Any] = [
        convert_frame._compile,
        symbolic_convert.InstructionTranslatorBase.log_graph_break,
        output_graph.OutputGraph.call_user_compiler,
        torch.nn.Module._call_impl,
        torch.nn.Module.to,
        torch.Tensor.pin_memory,
        torch.autograd.backward,
    ]
    assert {one.__module__.partition(".")[0] for one in functions if hasattr(one, "__module__")} <= {"torch"}


def test_random_numbers() -> None:
    """Pass: a seed has the same numbers, and the plain generator is torch's."""
    first, second = (torch.randn(3, generator=torch.Generator().manual_seed(7)) for _ in range(2))
    assert torch.equal(first, second)
    assert type(torch.Generator()) is torch._C.Generator


def test_settings() -> None:
    """Pass: torch's settings are as at its import."""
    assert torch.get_default_dtype() is torch.float32
    assert torch.get_default_device() == torch.device("cpu")
    assert torch.is_grad_enabled()
    assert not torch.is_inference_mode_enabled()
    assert not torch.are_deterministic_algorithms_enabled()
    assert torch.backends.cuda.math_sdp_enabled()  # type: ignore[no-untyped-call]
    assert torch._dynamo.config.recompile_limit == 8
    assert torch._C._len_torch_dispatch_stack() == torch._C._len_torch_function_stack() == 0


def test_needs_cuda() -> None:
    """Be skipped without CUDA."""
    if not torch.cuda.is_available():
        pytest.skip("needs CUDA")
