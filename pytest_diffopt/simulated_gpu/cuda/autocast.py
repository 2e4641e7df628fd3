"""Casts under autocast, by CUDA's lists of operations (`ATen/autocast_mode.h`, PyTorch 2.13).

An operation on none of the lists runs in the dtypes of its operands. Weights that require gradients are cast once per
autocast block on CUDA, and at every use here. Without gradients CUDA also casts at every use.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch._ops import OpOverload

from pytest_diffopt._torch_private.dispatch_state import autocast_dtype, without_autocast
from pytest_diffopt._torch_private.kernel_registration import register_kernels
from pytest_diffopt._torch_private.overloads import overload_named, schema_arguments
from pytest_diffopt._torch_private.spare_backend import DEVICE_TYPE

_LOWER = """
    _convolution conv1d conv2d conv3d conv_tbc conv_transpose1d conv_transpose2d.input conv_transpose3d.input
    convolution prelu addmm addmv addr matmul einsum mm mv linalg_vecdot linear addbmm baddbmm bmm chain_matmul
    linalg_multi_dot lstm_cell gru_cell rnn_tanh_cell rnn_relu_cell scaled_dot_product_attention
"""
_FLOAT32 = """
    acos asin cosh erfinv exp expm1 log log10 log2 log1p reciprocal rsqrt sinh tan pow.Tensor_Scalar pow.Tensor_Tensor
    pow.Scalar softplus layer_norm native_layer_norm group_norm cosine_similarity poisson_nll_loss
    cosine_embedding_loss nll_loss nll_loss2d hinge_embedding_loss kl_div l1_loss smooth_l1_loss huber_loss mse_loss
    margin_ranking_loss multilabel_margin_loss soft_margin_loss triplet_margin_loss multi_margin_loss
    binary_cross_entropy_with_logits dist pdist cdist renorm logsumexp upsample_nearest1d _upsample_nearest_exact1d
    upsample_nearest2d _upsample_nearest_exact2d upsample_nearest3d _upsample_nearest_exact3d upsample_linear1d
    upsample_bilinear2d _upsample_bilinear2d_aa upsample_trilinear3d upsample_bicubic2d _upsample_bicubic2d_aa
"""
# They take a dtype argument: float32 unless the caller passes another.
_FLOAT32_RESULT = "prod prod.dim_int softmax.int log_softmax.int cumprod cumsum sum sum.dim_IntList"
_WIDEST = "addcdiv addcmul atan2 bilinear cross dot vdot grid_sampler index_put tensordot scatter_add cat stack"

_Cast = Callable[[Any], Any]


def _cast(value: Any, dtype: torch.dtype) -> Any:
    """Cast floating tensors of the device, including those in lists; float64 is not cast, as on CUDA."""
    if isinstance(value, torch.Tensor):
        eligible = value.device.type == DEVICE_TYPE and value.is_floating_point()
        return value.to(dtype) if eligible and value.dtype != torch.float64 else value
    if isinstance(value, list | tuple):
        return type(value)(_cast(one, dtype) for one in value)
    return value


def _widest(values: tuple[Any, ...]) -> torch.dtype:
    """Return float32 if any operand has it, else autocast's lower-precision dtype."""
    tensors = [one for value in values for one in (value if isinstance(value, list | tuple) else (value,))]
    has_float = any(isinstance(one, torch.Tensor) and one.dtype == torch.float32 for one in tensors)
    return torch.float32 if has_float else autocast_dtype()


def _in(dtype_for: Callable[[tuple[Any, ...]], torch.dtype]) -> Callable[[OpOverload], Callable[..., Any]]:
    def make(overload: OpOverload) -> Callable[..., Any]:
        def kernel(*args: Any, **kwargs: Any) -> Any:
            with without_autocast():
                dtype = dtype_for((*args, *kwargs.values()))
                return overload(*_cast(args, dtype), **{name: _cast(one, dtype) for name, one in kwargs.items()})

        return kernel

    return make


def _with_float32_result(overload: OpOverload) -> Callable[..., Any]:
    def kernel(*args: Any, **kwargs: Any) -> Any:
        with without_autocast():
            position = [argument.name for argument in schema_arguments(overload)].index("dtype")
            given = args[position] if position < len(args) else kwargs.get("dtype")
            if given is None and args[0].is_floating_point() and args[0].dtype != torch.float64:
                args, kwargs = args[:position], kwargs | {"dtype": torch.float32}
            return overload(*args, **kwargs)

    return kernel


def register() -> None:
    """Register the autocast kernels of the device."""
    handlers = (
        (_LOWER, _in(lambda _: autocast_dtype())),
        (_FLOAT32, _in(lambda _: torch.float32)),
        (_FLOAT32_RESULT, _with_float32_result),
        (_WIDEST, _in(_widest)),
    )
    kernels = {name: make(overload_named(name)) for names, make in handlers for name in names.split()}
    register_kernels(kernels, "AutocastPrivateUse1")
