"""Inductor and Triton compile for the null GPU; compiled code counts and has values."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch._dynamo.utils import counters

from pytest_diffopt.null_gpu.counters import TallyKind, counting
from pytest_diffopt.null_gpu.values.computing import Values, computing

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:torch", "ignore:.*is deprecated")


@pytest.fixture(autouse=True)
def fresh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Compile from scratch, in this process."""
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    monkeypatch.setenv("TORCHINDUCTOR_COMPILE_THREADS", "1")
    torch._dynamo.reset()
    counters.clear()
    with torch.no_grad():
        yield
    torch._dynamo.reset()


@pytest.fixture
def model() -> torch.nn.Module:
    """A product and what can be fused around it."""
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.LayerNorm(16), torch.nn.Linear(16, 16), torch.nn.SiLU())


def test_fused_kernels_and_values(model: torch.nn.Module) -> None:
    """Triton's kernels are launched by name; the result is the CPU's; nothing recompiles."""
    inputs = torch.randn(4, 16)
    expected = model(inputs)
    compiled, on_gpu = torch.compile(model.cuda()), inputs.cuda()
    with computing(Values.ALL) as report:
        on_gpu = inputs.cuda()
        compiled(on_gpu)
        with counting() as phase:
            actual = compiled(on_gpu)

    assert torch.equal(actual.cpu(), expected)
    assert all(name.startswith("triton_") for name in phase.counts.of(TallyKind.KERNEL))
    assert phase.counts.total(TallyKind.KERNEL) == 2
    assert phase.counts.total(TallyKind.LIBRARY_CALL) == 1
    assert counters["stats"]["unique_graphs"] == 1
    assert report.uncomputed == {}


def test_cuda_graphs_of_compiled_code(model: torch.nn.Module) -> None:
    """`reduce-overhead` launches one graph; its inputs may change."""
    inputs = torch.randn(4, 16)
    expected = model(inputs * 2)
    compiled = torch.compile(model.cuda(), mode="reduce-overhead")
    with computing(Values.ALL):
        on_gpu = inputs.cuda()
        for _ in range(3):
            compiled(on_gpu)
        with counting() as phase:
            actual = compiled(on_gpu * 2)

    assert phase.counts.total(TallyKind.GRAPH_LAUNCH) == 1
    assert phase.counts.total(TallyKind.GRAPH_KERNEL) == 2
    assert torch.equal(actual.cpu(), expected)
