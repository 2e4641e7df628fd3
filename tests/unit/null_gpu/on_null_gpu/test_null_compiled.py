"""Inductor and Triton compile for the null GPU; compiled code counts and has values."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
import triton
import triton.language
from torch._dynamo.utils import counters, get_compilation_metrics
from torchao.quantization import Int8WeightOnlyConfig, quantize_
from triton.runtime.errors import OutOfResources

from pytest_diffopt.null_gpu.counters import TallyKind, counting
from pytest_diffopt.null_gpu.values.computing import Values, computing
from pytest_diffopt.probes.compile_log import CompileLog
from pytest_diffopt.records import Subject

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
    assert report.notes() == (
        "compiled code has the values of the graphs that Inductor was given; its generated kernels were not computed",
    )


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


class Breaking(torch.nn.Module):
    """A graph break between two operations, at sizes that Dynamo makes dynamic at the second call."""

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """Compute."""
        doubled = values * 2
        torch._dynamo.graph_break()
        return doubled[: len(values) // 2] + 1


def test_values_between_two_graphs_are_not_compiled() -> None:
    """Dynamo compiles the module's own functions alone, also when sizes become dynamic; the values are the CPU's."""
    sizes = (8, 12, 20)
    expected = [Breaking()(torch.arange(float(size))) for size in sizes]
    compiled = torch.compile(Breaking())
    with computing(Values.ALL):
        actual = [compiled(torch.arange(float(size), device="cuda")) for size in sizes]

        assert all(torch.equal(one.cpu(), other) for one, other in zip(actual, expected, strict=True))
    files = {str(one.co_filename) for one in get_compilation_metrics() if one.co_filename}
    assert [file for file in files if "null_gpu/values" in file] == []


@triton.jit  # type: ignore[untyped-decorator]
def square(values, count, BLOCK: triton.language.constexpr):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201, N803
    """Square numbers in place."""
    index = triton.language.arange(0, BLOCK)
    loaded = triton.language.load(values + index, mask=index < count)
    triton.language.store(values + index, loaded * loaded, mask=index < count)


@pytest.mark.filterwarnings("ignore:TRITON_DEFAULT_FP_FUSION:UserWarning")  # Triton 3.9 without Inductor
def test_driver_reports_what_a_compiled_kernel_needs() -> None:
    """Registers and spilled bytes are those that ptxas wrote into the file, and not those of an unknown kernel."""
    values = torch.ones(1024, device="cuda")
    compiled = square[(1,)](values, 1024, BLOCK=1024)
    attributes = re.findall(rb"\x04\x2f\x08\x00....(....)", compiled.asm["cubin"], flags=re.DOTALL)

    assert [int.from_bytes(registers, "little") for registers in attributes] == [compiled.n_regs]
    assert compiled.n_spills == 0


def test_what_was_generated(model: torch.nn.Module) -> None:
    """Each kernel is launched once, moves at least its input and its output, and has the registers of its file."""
    inputs = torch.randn(4, 16).cuda()
    with CompileLog() as log:
        start = log.mark()
        torch.compile(model.cuda())(inputs)
        (frame,) = log.since(start, Subject(pipeline="model")).frames

    assert [call.library for call in frame.code.external_calls] == ["cuBLAS"]
    assert [kernel.launches for kernel in frame.code.kernels] == [1, 1]
    assert all(kernel.registers and kernel.spilled_bytes == 0 for kernel in frame.code.kernels)


def test_autotuning_takes_the_default() -> None:
    """Each candidate counts as equally fast: two processes, or two runs, launch the same kernels."""
    inputs = torch.randn(64, 64).cuda()
    product = torch.compile(torch.nn.Linear(64, 64).cuda(), mode="max-autotune-no-cudagraphs")
    few_candidates = torch._inductor.config.patch({"test_configs.max_mm_configs": 2})
    with few_candidates, computing(Values.SMALL):
        product(inputs)
        with counting() as phase:
            product(inputs)

    assert phase.counts.total(TallyKind.LIBRARY_CALL) == 1
    assert not [name for name in phase.counts.of(TallyKind.KERNEL) if name.startswith("triton_tem")]


@triton.jit  # type: ignore[untyped-decorator]
def product_of_one_block(left, right, out, size: triton.language.constexpr):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    """Multiply two square matrices in one block, which holds both in shared memory."""
    first = triton.language.arange(0, size)
    places = first[:, None] * size + first[None, :]
    result = triton.language.dot(triton.language.load(left + places), triton.language.load(right + places))
    triton.language.store(out + places, result)


def test_a_kernel_with_more_shared_memory_than_the_gpu_has() -> None:
    """Triton's own error, with the limit of the named GPU."""
    matrix = torch.ones(256, 256, device="cuda", dtype=torch.float16)

    with pytest.raises(OutOfResources) as error:
        product_of_one_block[(1,)](matrix, matrix, torch.empty_like(matrix), 256, num_warps=8)

    assert "shared memory, Required: 262144, Hardware limit: 232448" in str(error.value)


def test_a_quantized_weight_is_an_input_of_the_graph() -> None:
    """The graph is evaluated with the host's views of what torchao's tensor holds."""
    torch.manual_seed(0)
    layer = torch.nn.Sequential(torch.nn.Linear(64, 64)).cuda()
    quantize_(layer, Int8WeightOnlyConfig(version=2))
    values = torch.rand(8, 64, device="cuda")
    with torch.no_grad(), computing(Values.ALL):
        eager = layer(values).cpu()
        compiled = torch.compile(layer)(values).cpu()

    assert eager.abs().max() > 0.1
    assert torch.allclose(compiled, eager, atol=1e-5)
