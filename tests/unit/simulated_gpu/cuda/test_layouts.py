"""The layouts of results that the CPU computes equal those of torch's shape rules for CUDA, for each operation."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch

from pytest_diffopt.simulated_gpu import Counts, SimulatedGPU
from pytest_diffopt.simulated_gpu.backend import operation_schemas
from pytest_diffopt.simulated_gpu.cuda import layouts

_aten: Any = torch.ops.aten

#: A call of each operation on a tensor `x` of (2, 4, 6, 6), `x` reshaped to a matrix `m` of (8, 36), and indices `i`.
CALLS: dict[str, Callable[..., Any]] = {
    "aten._fused_rms_norm": lambda x, **_: _aten._fused_rms_norm(x, [6], None, None),
    "aten._log_softmax": lambda x, **_: _aten._log_softmax(x, -1, half_to_float=False),
    "aten._safe_softmax": lambda x, **_: _aten._safe_softmax(x, 1),
    "aten._softmax": lambda x, **_: _aten._softmax(x, 1, half_to_float=False),
    "aten._to_copy": lambda x, **_: _aten._to_copy(x, dtype=torch.bfloat16),
    "aten._unsafe_view": lambda m, **_: _aten._unsafe_view(m.contiguous(), [4, 72]),
    "aten.addmm": lambda m, **_: _aten.addmm(m[0, :8], m, m.t()),
    "aten.amax": lambda x, **_: _aten.amax(x, [1], keepdim=True),
    "aten.amin": lambda x, **_: _aten.amin(x, [0, 2]),
    "aten.argmax": lambda x, **_: _aten.argmax(x, 1),
    "aten.argmin": lambda x, **_: _aten.argmin(x, -1, keepdim=True),
    "aten.baddbmm": lambda x, **_: _aten.baddbmm(x[0], x[0], x[1]),
    "aten.bmm": lambda x, **_: _aten.bmm(x[0], x[1].transpose(1, 2)),
    "aten.cat": lambda x, **_: _aten.cat([x, x], 1),
    "aten.clone": lambda x, **_: _aten.clone(x),
    "aten.constant_pad_nd": lambda x, **_: _aten.constant_pad_nd(x, [0, 1, 0, 1], 0.0),
    "aten.convolution": lambda x, w, **_: _aten.convolution(
        x, w, None, [1, 1], [1, 1], [1, 1], transposed=False, output_padding=[0, 0], groups=1
    ),
    "aten.copy_": lambda x, **_: _aten.copy_(x.clone(), x),
    "aten.cumsum": lambda x, **_: _aten.cumsum(x, 1),
    "aten.embedding": lambda m, i, **_: _aten.embedding(m, i),
    "aten.empty_like": lambda x, **_: _aten.empty_like(x),
    "aten.full_like": lambda x, **_: _aten.full_like(x, 2.0),
    "aten.gather": lambda m, i, **_: _aten.gather(m, 1, i),
    "aten.mean": lambda x, **_: _aten.mean(x, [-1], keepdim=True),
    "aten.mm": lambda m, **_: _aten.mm(m, m.t()),
    "aten.native_group_norm": lambda x, **_: _aten.native_group_norm(x.contiguous(), None, None, 2, 4, 36, 2, 1e-5),
    "aten.native_layer_norm": lambda x, **_: _aten.native_layer_norm(x, [6], None, None, 1e-5),
    "aten.new_zeros": lambda x, **_: _aten.new_zeros(x, [3, 2]),
    "aten.ones_like": lambda x, **_: _aten.ones_like(x),
    "aten.sum": lambda x, **_: _aten.sum(x, [1, 2]),
    "aten.tril": lambda x, **_: _aten.tril(x),
    "aten.triu": lambda x, **_: _aten.triu(x, 1),
    "aten.upsample_nearest2d": lambda x, **_: _aten.upsample_nearest2d(x, [12, 12], None, None),
    "aten._upsample_nearest_exact2d": lambda x, **_: _aten._upsample_nearest_exact2d(x, [9, 9]),
    "aten._upsample_nearest_exact3d": lambda x, **_: _aten._upsample_nearest_exact3d(x[None], [8, 9, 9]),
    "aten.all": lambda x, **_: _aten.all(x),
    "aten.any": lambda x, **_: _aten.any(x, 1),
    "aten.avg_pool2d": lambda x, **_: _aten.avg_pool2d(x, [2, 2], [2, 2]),
    "aten.fill_": lambda x, **_: _aten.fill_(x.clone(), 2.0),
    "aten.flip": lambda x, **_: _aten.flip(x, [1]),
    "aten.index": lambda x, i, **_: _aten.index(x, [None, None, i % 6]),
    "aten.index_select": lambda x, i, **_: _aten.index_select(x, 2, i[0]),
    "aten.linalg_vector_norm": lambda x, **_: _aten.linalg_vector_norm(x, 2, [1], True),  # noqa: FBT003
    "aten.max": lambda x, **_: _aten.max(x, 1),
    "aten.min": lambda x, **_: _aten.min(x),
    "aten.new_full": lambda x, **_: _aten.new_full(x, [3, 2], 1.0),
    "aten.new_ones": lambda x, **_: _aten.new_ones(x, [3, 2]),
    "aten.prod": lambda x, **_: _aten.prod(x, 1),
    "aten.repeat": lambda x, **_: _aten.repeat(x, [1, 2, 1, 1]),
    "aten.sort": lambda x, **_: _aten.sort(x, 1),
    "aten.stack": lambda x, **_: _aten.stack([x, x], 1),
    "aten.topk": lambda x, **_: _aten.topk(x, 2),
    "aten.upsample_nearest1d": lambda x, **_: _aten.upsample_nearest1d(x[0], [9]),
    "aten.upsample_nearest3d": lambda x, **_: _aten.upsample_nearest3d(x[None], [8, 9, 9]),
    "aten.var": lambda x, **_: _aten.var(x, [1]),
    "aten.zero_": lambda x, **_: _aten.zero_(x.clone()),
    "aten.zeros_like": lambda x, **_: _aten.zeros_like(x),
}
LAYOUTS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "contiguous": lambda x: x,
    "channels_last": lambda x: x.to(memory_format=torch.channels_last),
    "transposed": lambda x: x.transpose(2, 3),
    "sliced": lambda x: torch.cat([x, x], 1)[:, 2:6],
}


def called(name: str, layout: str, real_up_to: float) -> tuple[list[Any], Counts]:
    """Call an operation, and return the layouts of its results and its counts."""
    with SimulatedGPU(real_up_to=real_up_to) as gpu, torch.no_grad():
        base = torch.linspace(0, 1, 288, device=gpu.device).reshape(2, 4, 6, 6)
        x = LAYOUTS[layout](base)
        indices = torch.tensor([[0, 3], [1, 7]], device=gpu.device)
        gpu.enter_phase("call")
        out = CALLS[name](x=x, m=x.reshape(8, 36), i=indices, w=LAYOUTS[layout](base))
        gpu.enter_phase(None)
        results = [out] if isinstance(out, torch.Tensor) else out
        laid_out = [(one.shape, one.stride(), one.storage_offset(), one.dtype) for one in results]
    return laid_out, gpu.phases["call"]


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("name", CALLS)
def test_cpu_layout_equals_the_shape_rules(name: str, layout: str) -> None:
    """Shapes, strides, dtypes and counts are the same whether or not the values are computed."""
    inferred = called(name, layout, real_up_to=0)

    assert called(name, layout, real_up_to=math.inf) == inferred


def test_every_operation_with_a_cpu_layout_has_a_call() -> None:
    """A new name in the table needs a call in `CALLS`."""
    named = operation_schemas._SAME_LAYOUT | operation_schemas._SAME_LAYOUT_IN_FLOAT32 | {"aten.convolution"}

    assert set(CALLS) == named


@pytest.mark.parametrize("kernel", ["flash", "efficient", "cudnn"])
def test_cuda_only_attention_has_the_same_layout_on_the_meta_device(kernel: str) -> None:
    """The shape rules of CUDA-only kernels are evaluated on the meta device; fake CUDA tensors give the same result."""
    op = operation_schemas.operation(getattr(_aten, f"_scaled_dot_product_{kernel}_attention").default)
    options = [] if kernel == "flash" else [None, True]
    with SimulatedGPU(real_up_to=0) as gpu, torch.no_grad():
        query = torch.zeros(2, 40, 3, 16, device=gpu.device, dtype=torch.bfloat16).transpose(1, 2)
        args = [query, query[:, :, :24], query[:, :, :24], *options]
        found = []
        for op.is_cuda_only in (False, True):
            out = layouts._infer_with_torch(op, args, {})
            found.append((out.results, out.written, out.flops))

    assert found[0] == found[1]
    assert found[0][0][0].shape == (2, 3, 40, 16)


def linear(shape: tuple[int, ...], *, has_bias: bool, is_transposed: bool, real_up_to: float) -> tuple[Any, ...]:
    """Call a linear layer, and return the layout of its result and its counts."""
    layer = torch.nn.Linear(shape[-1], 5, bias=has_bias)
    with SimulatedGPU(real_up_to=real_up_to) as gpu, torch.no_grad():
        layer.to(gpu.device)
        x = torch.linspace(0, 1, math.prod(shape), device=gpu.device).reshape(shape)
        x = x.transpose(0, -2).contiguous().transpose(0, -2) if is_transposed else x
        gpu.enter_phase("call")
        out = layer(x)
        gpu.enter_phase(None)
    return out.shape, out.stride(), out.dtype, gpu.phases["call"], gpu.modules["Linear"]


@pytest.mark.parametrize("is_transposed", [False, True])
@pytest.mark.parametrize("has_bias", [False, True])
@pytest.mark.parametrize("shape", [(3, 4), (2, 3, 4), (2, 3, 3, 4), (2, 1, 4)])
def test_linear_layer_counts_the_same_as_its_decomposition(
    shape: tuple[int, ...], *, has_bias: bool, is_transposed: bool
) -> None:
    """The counts are the same whether it is computed in one call or only its shape is known."""
    decomposed = linear(shape, has_bias=has_bias, is_transposed=is_transposed, real_up_to=0)

    assert linear(shape, has_bias=has_bias, is_transposed=is_transposed, real_up_to=math.inf) == decomposed
