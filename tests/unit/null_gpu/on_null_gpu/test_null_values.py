"""Values: what the CPU computes on the memory of the GPU is what the CPU computes."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest
import torch
from torch.nn import functional

from pytest_diffopt.null_gpu.counters import TallyKind, counting
from pytest_diffopt.null_gpu.errors import MissingValueError, NullGpuError, ResidentMemoryError
from pytest_diffopt.null_gpu.values.computing import Values, computing, is_computing
from pytest_diffopt.null_gpu.values.engine import ValueReport


@dataclass(frozen=True, kw_only=True, slots=True)
class Arguments:
    """What a case computes with: numbers, indices and a mask."""

    x: torch.Tensor
    i: torch.Tensor
    m: torch.Tensor


Case = Callable[[Arguments], object]


def _after(action: Callable[..., object], *args: object, result: torch.Tensor) -> torch.Tensor:
    action(*args)
    return result


def _attend(x: torch.Tensor) -> torch.Tensor:
    return functional.scaled_dot_product_attention(x, x, x)


CASES: dict[str, Case] = {
    # views, in-place, out=
    "add": lambda a: a.x + 1,
    "in place": lambda a: a.x.add_(2).mul_(3),
    "out": lambda a: torch.sin(a.x, out=torch.empty_like(a.x)),
    "view": lambda a: a.x.t()[1:].contiguous(),
    "write through a view": lambda a: (a.x[1:3].fill_(7), a.x)[1],
    "reinterpret": lambda a: a.x.view(torch.int32),
    "foreach": lambda a: torch._foreach_add([a.x, a.x], 1.5),
    "foreach in place": lambda a: (torch._foreach_mul_([a.x], 2.0), a.x)[1],
    "foreach copy": lambda a: _after(torch._foreach_copy_, [a.x], [a.x + 1], result=a.x),
    # sizes that depend on data
    "nonzero": lambda a: a.m.nonzero(),
    "mask": lambda a: a.x[a.m],
    "two masks": lambda a: a.x[a.m.any(1)][:, a.m.any(0)],
    "write by mask": lambda a: _after(a.x.__setitem__, a.m, 1.0, result=a.x),
    "masked_select": lambda a: torch.masked_select(a.x, a.m),
    "unique": lambda a: torch.unique(a.i, return_inverse=True, return_counts=True),
    "unique rows": lambda a: torch.unique(a.m, dim=0),
    "unique_consecutive": lambda a: torch.unique_consecutive(a.i),
    "unique_consecutive rows": lambda a: torch.unique_consecutive(a.i[:, None].repeat(1, 2), dim=0),
    "repeat_interleave": lambda a: a.i.repeat_interleave(a.i),
    "bincount": lambda a: torch.bincount(a.i),
    "isin": lambda a: torch.isin(a.i, a.i[:2]),
    "isin of many, which sorts": lambda a: torch.isin(a.i, torch.arange(2, 200, device=a.i.device) % 9),
    "matrix_exp": lambda a: torch.matrix_exp(a.x[:, :4].repeat(3, 1, 1)),
    "fill by a tensor": lambda a: (a.x.masked_fill(a.m, a.x[0, 0]), a.x.index_fill(0, a.i[:2], a.x[0, 1])),
    "segment_reduce": lambda a: torch.segment_reduce(a.x[:, 0], "sum", lengths=a.i[:2] * 0 + 2),
    "histc": lambda a: torch.histc(a.x, 3),
    "linspace between tensors": lambda a: torch.linspace(a.x[0, 0], a.x[0, 1], 5, device=a.x.device),
    "one_hot": lambda a: functional.one_hot(a.i),
    # numbers
    "item": lambda a: a.x.sum().item(),
    "bool": lambda a: bool((a.x > 0).any()),
    "tolist": lambda a: a.x.tolist(),
    "equal": lambda a: torch.equal(a.x, a.x.clone()),
    "not equal": lambda a: torch.equal(a.x, a.x + 1),
    "allclose": lambda a: torch.allclose(a.x, a.x),
    # complex, linear algebra
    "fft": lambda a: torch.fft.fft(a.x).abs(),
    "conjugate": lambda a: torch.view_as_real(torch.complex(a.x, a.x).conj() * 2),
    "svd": lambda a: torch.linalg.svdvals(a.x),
    "inverse": lambda a: torch.linalg.inv(a.x[:4, :4]),
    "solve": lambda a: torch.linalg.solve(a.x[:4, :4], a.x[:4, :2]),
    "eigenvalues": lambda a: torch.view_as_real(torch.linalg.eigvals(a.x[:4, :4])),
    "eigenvectors": lambda a: torch.view_as_real(torch.linalg.eig(a.x[:4, :4])[1]),
    "pinv": lambda a: torch.linalg.pinv(a.x),
    "lstsq": lambda a: torch.linalg.lstsq(a.x.T, a.x.T[:, :2], driver="gels").solution,
    "cholesky": lambda a: torch.linalg.cholesky(a.x @ a.x.T + 4 * torch.eye(4, device=a.x.device)),
    # layers
    "convolution": lambda a: functional.conv1d(a.x[None], torch.ones(3, 4, 3, device=a.x.device)),
    "batch norm": lambda a: functional.batch_norm(a.x[None], a.x[:, 0] * 0, a.x[:, 0] * 0 + 1),
    "batch norm that writes statistics and makes a result": lambda a: torch.ops.aten._native_batch_norm_legit(
        a.x[None], None, None, a.x[:, 0] * 0, a.x[:, 0] * 0 + 1, training=True, momentum=0.1, eps=1e-5
    ),
    "group norm": lambda a: functional.group_norm(a.x[None], 2),
    "layer norm": lambda a: functional.layer_norm(a.x, (5,)),
    "rms norm": lambda a: functional.rms_norm(a.x, (5,)),
    "attention": lambda a: _attend(a.x[None, None].repeat(1, 1, 1, 8)),
    "embedding": lambda a: functional.embedding(a.i, a.x),
    "interpolate": lambda a: functional.interpolate(a.x[None, None], scale_factor=2, mode="bicubic"),
    "grid_sample": lambda a: functional.grid_sample(
        a.x[None, None], a.x[None, :, :4].reshape(1, 4, 2, 2) / 3, align_corners=True
    ),
    "cross entropy": lambda a: functional.cross_entropy(a.x, a.i[:4] % 5),
    "matmul in half": lambda a: (a.x.half() @ a.x.half().T).float(),
    # creation, sorting, gathering
    "arange": lambda a: torch.arange(5, device=a.x.device),
    "tensor": lambda a: torch.tensor([1.0, 2.0], device=a.x.device),
    "sort": lambda a: a.x.sort(),
    "topk": lambda a: a.x.topk(2),
    "quantile": lambda a: torch.quantile(a.x, 0.5),
    "scatter": lambda a: a.x.scatter(1, a.i[:4, None] % 4, 1.0),
    "searchsorted": lambda a: torch.searchsorted(a.i.sort()[0], a.i),
    # copies
    "to half on the host": lambda a: a.x.to("cpu", torch.half),
    "non-blocking": lambda a: a.x.to("cpu", non_blocking=True),
    "into host memory": lambda a: torch.empty(4, 5).copy_(a.x),
}


@pytest.fixture(autouse=True)
def inference() -> Iterator[None]:
    """Compute no gradients unless a test asks for them."""
    with torch.no_grad():
        yield


@pytest.fixture
def report() -> Iterator[ValueReport]:
    """All values."""
    with computing(Values.ALL) as found:
        yield found


def arguments(device: str) -> Arguments:
    """Return the same numbers on each device."""
    torch.manual_seed(0)
    x, i, m = torch.randn(4, 5), torch.randint(0, 4, (6,)), torch.randn(4, 5) > 0
    return Arguments(x=x.to(device), i=i.to(device), m=m.to(device))


def on_host(value: object) -> object:
    """Move a result to the host."""
    if isinstance(value, torch.Tensor):
        return value.cpu()
    return [on_host(item) for item in value] if isinstance(value, (list, tuple)) else value


@pytest.mark.parametrize("name", CASES)
def test_result_is_the_cpus(report: ValueReport, name: str) -> None:
    """Bit for bit, and nothing was left uncomputed."""
    expected, actual = on_host(CASES[name](arguments("cpu"))), on_host(CASES[name](arguments("cuda")))

    torch.testing.assert_close(actual, expected, rtol=0, atol=0)
    assert (report.uncomputed, report.replaced) == ({}, {})


def test_values_in_inference_mode(report: ValueReport) -> None:
    """Composite operations are seen there, too."""
    weight = torch.ones(2, 5, device="cuda")
    with torch.inference_mode():
        result = functional.linear(arguments("cuda").x, weight)

    assert torch.equal(result.cpu(), functional.linear(arguments("cpu").x, weight.cpu()))
    assert report.replaced == {}


def test_autocast(report: ValueReport) -> None:
    """The product is in the lower precision."""
    del report
    ones = torch.ones(2, 2, device="cuda")
    with torch.autocast("cuda", torch.bfloat16):
        product = ones @ ones

    assert (product.dtype, product.tolist()) == (torch.bfloat16, [[2.0, 2.0], [2.0, 2.0]])


def test_random_numbers_follow_the_generator(report: ValueReport) -> None:
    """The same seed and offset give the same numbers; the CPU's own generator is left alone."""
    del report
    generator = torch.Generator("cuda").manual_seed(3)
    before = torch.get_rng_state()
    first, second = (torch.randn(4, device="cuda", generator=generator) for _ in range(2))
    generator.manual_seed(3)
    again = torch.randn(4, device="cuda", generator=generator)

    assert torch.equal(first, again)
    assert not torch.equal(first, second)
    assert torch.equal(before, torch.get_rng_state())


def test_backward(report: ValueReport) -> None:
    """Gradients are computed on autograd's thread."""
    with torch.enable_grad():
        weight = torch.tensor([1.0, 2.0], device="cuda", requires_grad=True)
        (weight * weight).sum().backward()  # type: ignore[no-untyped-call]

    assert weight.grad is not None
    assert weight.grad.tolist() == [2.0, 4.0]
    assert report.uncomputed == {}


def test_values_count_nowhere(report: ValueReport) -> None:
    """Kernels, copies, syncs and memory are as without values."""
    del report
    tensor = torch.ones(8, device="cuda")
    torch.cuda.reset_peak_memory_stats()
    with counting() as phase:
        tensor.add(1).mul(2)

    assert phase.counts.total(TallyKind.KERNEL) == 2
    assert sum(phase.counts.total(kind) for kind in TallyKind) == 2


def test_mask_allocates_what_a_gpu_does(report: ValueReport) -> None:
    """The operation itself reads the count that the CPU computed, and allocates its result."""
    mask = torch.tensor([True, False, True], device="cuda")
    with counting() as phase:
        found = mask.nonzero()

    assert found.tolist() == [[0], [2]]
    assert phase.counts.total(TallyKind.SYNC) == 1
    assert report.replaced == {}


def test_torchs_own_branches_are_kept(report: ValueReport) -> None:
    """No dispatch mode is active, which would make torch take other paths."""
    del report
    assert torch._C._len_torch_dispatch_stack() == 0


def test_replay_of_a_graph_computes(report: ValueReport) -> None:
    """What was captured is computed again from the inputs of each replay."""
    del report
    source = torch.ones(4, device="cuda")
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        target = source * 2 + 1
    source.fill_(5)
    graph.replay()

    assert target.tolist() == [11.0] * 4


def test_small_values_do_not_reach_through_large_tensors() -> None:
    """Reading a value that does not exist is an error that names both operations and lines."""
    with computing(Values.SMALL):
        mean = torch.ones(2**21, device="cuda").mean()
        with pytest.raises(MissingValueError) as caught:
            mean.item()

    message = str(caught.value)
    assert message.startswith(f"aten::_local_scalar_dense at {__file__}:")
    # by torch's version, the operation that was called or the one that fills its result
    assert re.search(rf"does not exist on the null GPU: aten::(ones|fill_) at {re.escape(__file__)}:\d+ was", message)
    assert "its tensors are larger than 4 MiB" in message


def test_small_values_are_values() -> None:
    """A scheduler's numbers can be read."""
    with computing(Values.SMALL):
        assert torch.arange(10, device="cuda").flip(0)[2].item() == 7


def test_overwritten_memory_has_values_again() -> None:
    """A small tensor that lost its values gets new ones."""
    with computing(Values.SMALL):
        small = torch.ones(2**21, device="cuda").mean().reshape(1).clone()
        small.fill_(3)

        assert small.item() == 3


def test_large_copy_to_the_host_is_zero_and_listed() -> None:
    """An image at full size is black, and the report names the line."""
    with computing(Values.SMALL) as report:
        image = torch.ones(2**21, device="cuda").cpu()

    assert int(image.count_nonzero()) == 0
    ((line, count),) = report.zeros_read.items()
    assert line.startswith(__file__)
    assert count == 1


def test_size_that_depends_on_missing_values_is_an_error() -> None:
    """No size is made of old bytes."""
    with computing(Values.SMALL):
        large = torch.ones(2**21, device="cuda")
        with pytest.raises(MissingValueError, match="aten::nonzero"):
            large.nonzero()


def _repeat(action: Callable[[], object], *, times: int) -> None:
    for _ in range(times):
        action()


def test_memory_limit_ends_the_run() -> None:
    """With a sentence."""
    with computing(Values.ALL, resident_limit_bytes=2**20), pytest.raises(ResidentMemoryError) as caught:
        _repeat(lambda: torch.ones(4, device="cuda"), times=100)

    assert "GiB of resident memory, and 0.0 GiB is allowed: use a smaller scale or values=small" in str(caught.value)


def test_callers_error_is_torchs() -> None:
    """An operation that the CPU refuses as well raises what CUDA's raised."""
    with computing(Values.ALL), pytest.raises(RuntimeError, match="must match the size of tensor"):
        torch.ones(2, device="cuda") + torch.ones(3, device="cuda")


def test_tensors_on_two_devices_are_an_error(report: ValueReport) -> None:
    """The CPU could compute it, and a GPU does not."""
    with pytest.raises(RuntimeError, match="same device"):
        torch.ones(2, 2, device="cuda") @ torch.ones(2, 2)

    assert not report.replaced


def test_failed_solver_is_an_error(report: ValueReport) -> None:
    """Its info is the CPU's."""
    with pytest.raises(RuntimeError, match="singular"):
        torch.linalg.inv(torch.zeros(2, 2, device="cuda"))

    assert report.uncomputed == {}


def test_question_about_cudas_libraries_is_cudas_own(report: ValueReport) -> None:
    """The CPU has no kernel that answers it."""
    log_probabilities = torch.zeros(5, 1, 3, device="cuda")
    lengths = torch.tensor([5]), torch.tensor([2])
    loss = functional.ctc_loss(log_probabilities, torch.ones(1, 2, dtype=torch.long, device="cuda"), *lengths)

    assert loss.item() == functional.ctc_loss(log_probabilities.cpu(), torch.ones(1, 2, dtype=torch.long), *lengths)
    assert report.uncomputed == {}


def test_operation_without_cuda_kernel_is_an_error(report: ValueReport) -> None:
    """The CPU multiplies integers, and a GPU does not."""
    integers = torch.ones(2, 2, dtype=torch.long, device="cuda")
    with pytest.raises(NotImplementedError, match=r'"addmm_cuda" not implemented for .Long.'):
        integers @ integers

    assert not report.replaced


def test_operation_without_deterministic_kernel_is_an_error(report: ValueReport) -> None:
    """Only CUDA's kernel has none."""
    numbers = torch.ones(4, device="cuda")
    torch.use_deterministic_algorithms(mode=True)
    try:
        with pytest.raises(RuntimeError, match="median CUDA with indices output does not have a deterministic"):
            numbers.median(0)
    finally:
        torch.use_deterministic_algorithms(mode=False)

    assert not report.replaced


def test_sparse_tensor_is_an_error(report: ValueReport) -> None:
    """Its layout is known to no CPU view."""
    del report
    with pytest.raises(NullGpuError) as caught:
        torch.eye(3, device="cuda").to_sparse() @ torch.ones(3, 1, device="cuda")

    message = str(caught.value)
    assert message.startswith(f"aten::_to_sparse at {__file__}:")
    assert message.endswith("sparse tensors have no values on the null GPU: make them dense, or use values=none")


def test_out_of_memory_is_not_replaced() -> None:
    """It is an error on a GPU, too."""
    with computing(Values.ALL), pytest.raises(torch.OutOfMemoryError):
        torch.ones(2**38, device="cuda")


def test_blocks_cannot_be_nested() -> None:
    """One engine computes."""
    with computing(Values.ALL), pytest.raises(NullGpuError, match="cannot be nested"), computing(Values.ALL):
        pass

    assert not is_computing()


def test_without_values_nothing_is_computed() -> None:
    """The block leaves nothing behind."""
    with computing(Values.ALL):
        torch.ones(3, device="cuda")

    assert torch.full((1,), 3.0, device="cuda").item() == 0
