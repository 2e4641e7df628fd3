"""Convolutions and products of half precision are computed in float32 where torch would use reference kernels."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from tools import half_precision
from tools.half_precision import half_precision_in_float32

_DTYPES = [torch.bfloat16, torch.float16]


class Seen(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Notes each operation with the dtype of its result."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.operations: list[tuple[str, torch.dtype]] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run the operation."""
        result = func(*args, **kwargs or {})
        self.operations.append((str(func), result.dtype))
        return result


@pytest.fixture(autouse=True)
def without_onednn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have torch use its own kernels on any machine: oneDNN computes half precision itself where the CPU can."""
    monkeypatch.setattr(torch.backends.mkldnn, "enabled", False)


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch) -> list[torch.dtype]:
    """Return the dtypes in which the replacement computes: `conftest.py` has replaced the kernels already."""
    dtypes = []
    get_kernel = torch.library.get_kernel

    def noting(name: str, key: str) -> Any:
        kernel: Any = get_kernel(name, key)

        def call_boxed(keys: Any, x: torch.Tensor, *more: Any, **scales: Any) -> Any:
            dtypes.append(x.dtype)
            return kernel.call_boxed(keys, x, *more, **scales)

        return SimpleNamespace(call_boxed=call_boxed)

    monkeypatch.setattr(torch.library, "get_kernel", noting)
    return dtypes


def operands(dtype: torch.dtype, dimensions: int) -> list[torch.Tensor]:
    """Return an image or video, a weight and a bias."""
    torch.manual_seed(0)
    shapes = (1, 4, *[6] * dimensions), (8, 4, *[3] * dimensions), (8,)
    return [torch.randn(shape).to(dtype) for shape in shapes]


def test_torch_has_the_kernels() -> None:
    """With the operands that the replacement passes on."""
    for name in half_precision._CONVOLUTIONS:
        schema = getattr(torch.ops.aten, name).default._schema

        assert [argument.name for argument in schema.arguments] == [
            "self", "weight", "kernel_size", "bias", "stride", "padding",
        ]  # fmt: skip


@pytest.mark.parametrize("dtype", _DTYPES)
@pytest.mark.parametrize(("convolve", "dimensions"), [(torch.conv2d, 2), (torch.conv3d, 3)], ids=["image", "video"])
def test_the_result_is_that_of_float32_rounded(
    computed: list[torch.dtype], dtype: torch.dtype, convolve: Callable[..., torch.Tensor], dimensions: int
) -> None:
    """It differs from the exact one by its last bit at most; afterwards nothing is replaced."""
    half = operands(dtype, dimensions)
    with half_precision_in_float32():
        drawn = convolve(*half, padding=1)
        without_bias = convolve(*half[:2], padding=1)
    exact = convolve(*[one.float() for one in half], padding=1)

    assert drawn.dtype == without_bias.dtype == dtype
    assert torch.allclose(drawn.float(), exact, rtol=torch.finfo(dtype).eps, atol=1e-5)
    assert computed == [torch.float32, torch.float32]
    convolve(*half, padding=1)
    assert len(computed) == 2


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_layout_and_operations_are_unchanged(layout: torch.memory_format) -> None:
    """A dispatch mode sees one convolution in bfloat16."""
    image, weight, bias = operands(torch.bfloat16, 2)
    image, weight = image.to(memory_format=layout), weight.to(memory_format=layout)
    with half_precision_in_float32(), Seen() as seen:
        drawn = torch.conv2d(image, weight, bias)

    assert drawn.is_contiguous(memory_format=layout)
    assert seen.operations == [("aten.convolution.default", torch.bfloat16)]


MATRICES = (3, 4), (4, 5), (3, 5)
PRODUCTS: dict[str, Callable[..., torch.Tensor]] = {
    "mm": lambda a, b, _: a @ b,
    "addmm": lambda a, b, c: torch.addmm(c, a, b, beta=0.5, alpha=2),
    "linear": lambda a, b, c: torch.nn.functional.linear(a, b.T, c[0]),
    "bmm": lambda a, b, _: a[None] @ b[None],
    "baddbmm": lambda a, b, c: torch.baddbmm(c[None], a[None], b[None], beta=0.5, alpha=2),
}


@pytest.mark.parametrize("dtype", _DTYPES)
@pytest.mark.parametrize("product", PRODUCTS.values(), ids=PRODUCTS)
def test_a_product_is_that_of_float32_rounded(
    computed: list[torch.dtype], dtype: torch.dtype, product: Callable[..., torch.Tensor]
) -> None:
    """With its factors alpha and beta."""
    torch.manual_seed(0)
    half = [torch.randn(shape).to(dtype) for shape in MATRICES]
    with half_precision_in_float32(), Seen() as seen:
        result = product(*half)
    exact = product(*[one.float() for one in half])

    assert result.dtype == seen.operations[-1][1] == dtype
    assert torch.allclose(result.float(), exact, rtol=torch.finfo(dtype).eps, atol=1e-5)
    assert computed == [torch.float32]
    assert not [name for name, dtype in seen.operations if dtype == torch.float32]


def test_a_cpu_that_multiplies_in_half_precision_keeps_its_kernels(
    computed: list[torch.dtype], monkeypatch: pytest.MonkeyPatch
) -> None:
    """AVX-512 suffices for oneDNN."""
    monkeypatch.setattr(torch.backends.mkldnn, "enabled", True)
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX512")
    with half_precision_in_float32():
        torch.ones(2, 2).bfloat16() @ torch.ones(2, 2).bfloat16()

    assert computed == []


def test_float32_and_gradients_are_computed_as_before(computed: list[torch.dtype]) -> None:
    """The kernel gets operands in float32 as they are."""
    image, weight, bias = operands(torch.float32, 2)
    expected = torch.ops.aten._slow_conv2d_forward(image, weight, [3, 3], bias, [1, 1], [0, 0])
    with half_precision_in_float32():
        assert torch.equal(torch.ops.aten._slow_conv2d_forward(image, weight, [3, 3], bias, [1, 1], [0, 0]), expected)
        layer = torch.nn.Conv2d(4, 8, 3, dtype=torch.bfloat16)
        layer(image.bfloat16()).sum().backward()

    assert computed == [torch.float32, torch.float32]
    assert layer.weight.grad is not None


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_dynamo_compiles_only_the_users_code(dtype: torch.dtype) -> None:
    """Eager code below a compiled function calls the replacement."""
    compiled = []

    def backend(graph: torch.fx.GraphModule, _inputs: Any) -> Any:
        compiled.append(graph)
        return graph.forward

    a = torch.ones(2, 2, dtype=dtype)
    with half_precision_in_float32():
        function = torch.compile(lambda: (torch._dynamo.graph_break(), a @ a)[1], backend=backend)
        assert torch.equal(function(), a @ a)
        assert torch.equal(function(), a @ a)

    assert len(compiled) == 1
