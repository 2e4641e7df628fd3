"""The estimated timeline of Triton's kernels: what a launch moves is learned from its tensors."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
import triton
import triton.language as tl
from torch._inductor.runtime.triton_heuristics import CachingAutotuner
from triton.runtime.jit import JITFunction

from pytest_diffopt.null_gpu.values.active import learning_work
from pytest_diffopt.null_gpu.values.computing import Values, computing
from pytest_diffopt.probes.timeline import estimate_timeline
from pytest_diffopt.records import Subject, TimelineRecord

_BYTES = 4096 * 4096 * 4
_BYTES_PER_NS = 4800  # of an H200's memory


def estimated(model: Callable[[torch.Tensor], torch.Tensor]) -> TimelineRecord:
    """Return the timeline of a compiled call, which is compiled, and captured if it is, before."""
    values = torch.ones(4096, 4096, device="cuda")
    with torch.no_grad(), computing(Values.SMALL):
        model(values)
        model(values)
        return estimate_timeline(model, lambda: model(values), Subject(pipeline="Model"))


@pytest.mark.filterwarnings("ignore:The CUDA Graph is empty")
@pytest.mark.parametrize(("options", "launches"), [({}, 1), ({"dynamic": True}, 1), ({"mode": "reduce-overhead"}, 2)])
def test_a_generated_kernel_moves_its_tensors(options: dict[str, Any], launches: int) -> None:
    """Each is read or written once, also where sizes are symbols in the code; a kernel copies the input of a graph."""
    torch.compiler.reset()
    record = estimated(torch.compile(lambda values: values * 2 + 1, **options))
    torch.compiler.reset()

    assert (record.launches, record.without_model) == (launches, 0)
    assert record.phases[0].busy_ns == pytest.approx(launches * 2 * _BYTES / _BYTES_PER_NS, abs=2)


@pytest.mark.filterwarnings("ignore:TensorFloat32 tensor cores")
def test_a_generated_kernel_reads_what_it_writes() -> None:
    """The sine of a product replaces it in place: the tensor counts twice."""
    torch.compiler.reset()
    product = torch.nn.Linear(4096, 4096, bias=False).cuda()
    fused = torch.compile(torch.nn.Sequential(product, Sine()))
    with torch.inference_mode():
        alone, both = estimated(product), estimated(fused)
    torch.compiler.reset()

    assert (both.launches, both.without_model) == (2, 0)
    assert both.phases[0].busy_ns - alone.phases[0].busy_ns == pytest.approx(2 * _BYTES / _BYTES_PER_NS, abs=2)


class Sine(torch.nn.Module):
    """An activation."""

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """Return the sine."""
        return values.sin()


@triton.jit  # type: ignore[untyped-decorator]
def twice(values, result, BLOCK: tl.constexpr):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201, N803
    """Double each value."""
    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    tl.store(result + at, tl.load(values + at) * 2)


def test_a_kernel_of_ones_own_moves_its_tensors() -> None:
    """Triton launches it without Inductor."""
    count = 4096 * 4096

    def call(values: torch.Tensor) -> torch.Tensor:
        result = torch.empty_like(values)
        twice[(count // 1024,)](values, result, BLOCK=1024)
        return result

    record = estimated(call)

    assert (record.launches, record.without_model) == (1, 0)
    assert record.phases[0].busy_ns == pytest.approx(2 * _BYTES / _BYTES_PER_NS, abs=2)


def test_launchers_are_as_before() -> None:
    """Nothing is remembered outside of a block that learns."""
    before = [CachingAutotuner.run, JITFunction.run]
    with learning_work():
        assert CachingAutotuner.run is not before[0]
        assert JITFunction.run is not before[1]
        with learning_work():
            pass
        assert CachingAutotuner.run is not before[0]

    assert before == [CachingAutotuner.run, JITFunction.run]
