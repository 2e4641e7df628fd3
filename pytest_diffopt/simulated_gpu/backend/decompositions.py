"""Composite operations that torch decomposes differently on CUDA than on an unknown backend.

Torch decomposes these in C++ above the backend, by device: on CUDA `group_norm` makes its input contiguous, a float32
softmax of a float16 input is one kernel, and `rms_norm` is fused. The handlers take CUDA's path. A linear layer is the
same on every device, and frequent enough to run as one call.
"""

import functools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch

from pytest_diffopt._torch_private.dispatch_state import needs_full_dispatch
from pytest_diffopt._torch_private.flop_formulas import Flops
from pytest_diffopt._torch_private.overloads import (
    EIGENVALUES,
    LINEAR,
    NORMS,
    fused_softmax,
    run_composite,
    run_explicit_composite,
)
from pytest_diffopt.simulated_gpu.backend import host_values
from pytest_diffopt.simulated_gpu.backend.dispatch import NOT_HANDLED, Dispatcher, Handler
from pytest_diffopt.simulated_gpu.backend.operation_schemas import Operation
from pytest_diffopt.simulated_gpu.backend.tensor import SimulatedTensor


def attention(dispatcher: Dispatcher, _: Operation, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """Run attention as one operation, with the kernel that CUDA would choose."""
    return dispatcher.handlers.attention(*args, **kwargs)


def cross_entropy(dispatcher: Dispatcher, op: Operation, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """Run a loss that synchronizes; its decomposition for tensor subclasses would not."""
    dispatcher.note_syncs(op.full_name, op.bind(args, kwargs))
    return run_composite(op.overload, args, kwargs)


def group_norm(dispatcher: Dispatcher, op: Operation, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """Run `group_norm`, whose input CUDA makes contiguous even if it is channels_last: `native/group_norm.cpp`."""
    operands = op.bind(args, kwargs)
    x, groups = operands["input"].contiguous(), operands["num_groups"]
    if needs_full_dispatch() or x.dim() < _FEWEST_DIMENSIONS_IN_GROUPS or x.shape[1] % groups:
        return run_composite(op.overload, (x, *args[1:]), kwargs)
    samples, channels, *extent = x.shape
    sizes = samples, channels, math.prod(extent), groups
    return dispatcher.run(NORMS["group"], (x, operands["weight"], operands["bias"], *sizes, operands["eps"]), {})[0]


_FEWEST_DIMENSIONS_IN_GROUPS = 2  # samples and channels


def layer_norm(dispatcher: Dispatcher, op: Operation, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """Run `layer_norm`, which is the first result of one operation: `native/layer_norm.cpp`."""
    if needs_full_dispatch():
        return run_composite(op.overload, args, kwargs)
    *operands, _ = op.bind(args, kwargs).values()
    return dispatcher.run(NORMS["layer"], operands, {})[0]


def linear(dispatcher: Dispatcher, op: Operation, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """Run a linear layer, if possible as one call; torch's decomposition is three views and a product."""
    done = linear_on_host(dispatcher, *(op.argument(position, args, kwargs) for position in range(3)))
    return done if done is not NOT_HANDLED else run_composite(op.overload, args, kwargs)


def linear_on_host(dispatcher: Dispatcher, x: Any, weight: Any, bias: Any = None) -> Any:
    """Compute a linear layer on the CPU in one call if it is one product of known values; else `NOT_HANDLED`."""
    if not _is_one_product(dispatcher, x, weight, bias):
        return NOT_HANDLED
    hosts = host_values.known_values((x, weight, bias), dispatcher.ledger)
    if hosts is None or not hosts[0].is_contiguous():
        return NOT_HANDLED
    dispatcher.ledger.note_product()
    cell = dispatcher.ledger.cell()
    cell.add_kernel()
    flops = 2 * x.metadata.numel * weight.metadata.shape[0]
    cell.add_flops(Flops(counted=flops, least=flops), weight.metadata.dtype)
    return dispatcher.results.new(None, LINEAR(*hosts))


_MOST_DIMENSIONS_WITH_BIAS = 3  # above, `native/Linear.cpp` adds the bias separately


def _is_one_product(dispatcher: Dispatcher, x: Any, weight: Any, bias: Any) -> bool:
    """Return whether torch runs a linear layer of contiguous input as one kernel: `native/Linear.cpp`."""
    if type(x) is not SimulatedTensor or type(weight) is not SimulatedTensor:
        return False
    if bias is not None and type(bias) is not SimulatedTensor:
        return False
    dimensions = len(x.metadata.shape)
    return (
        len(weight.metadata.shape) == 2  # noqa: PLR2004 - a matrix
        and dimensions >= 2  # noqa: PLR2004
        and (bias is None or (dimensions <= _MOST_DIMENSIONS_WITH_BIAS and len(bias.metadata.shape) == 1))
        and 0 < x.metadata.numel <= dispatcher.real_up_to
        and not (torch.is_grad_enabled() and any(one.requires_grad for one in (x, weight, bias) if one is not None))
    )


def eigenvalues(_: Dispatcher, op: Operation, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """Run `linalg.eigvals`, which computes eigenvectors too only for gradients: `native/BatchLinearAlgebra.cpp`."""
    x = op.argument(0, args, kwargs)
    if torch.is_grad_enabled() and x.requires_grad:
        return run_composite(op.overload, args, kwargs)
    return EIGENVALUES(x)


def pack_padded_sequence(_: Dispatcher, op: Operation, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """Run the packing of sequences, whose lengths are on the host: `native/PackedSequence.cpp`."""
    return run_explicit_composite(op.overload, args, kwargs)


def pseudoinverse(_: Dispatcher, op: Operation, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """Run `linalg.pinv` as its parts, which synchronize: `native/LinearAlgebra.cpp linalg_pinv`."""
    operands = op.bind(args, kwargs)
    x = operands["self"]
    if operands["hermitian"]:
        values, right = torch.linalg.eigh(x)
        left, largest = right, values.abs().amax(-1, keepdim=True)
    else:
        left, values, adjoint = torch.linalg.svd(x, full_matrices=False)
        right, largest = adjoint.mH, values[..., :1]
    absolute, relative = _tolerances(x, operands["atol"], operands["rtol"], values)
    tolerance = torch.maximum(absolute.unsqueeze(-1), relative.unsqueeze(-1) * largest)
    inverse = torch.where(values.abs() > tolerance, values.reciprocal(), torch.zeros_like(values))
    return (right * inverse.unsqueeze(-2)) @ left.mH


def _tolerances(x: Any, absolute: Any, relative: Any, values: Any) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the absolute and the relative tolerance of a pseudoinverse: `get_atol_rtol`."""
    zero = values.new_zeros(())
    if relative is None:
        default = values.new_full((), torch.finfo(values.dtype).eps * max(x.shape[-2:]))
        relative = default if absolute is None else torch.where(absolute > 0, zero, default)
    return (zero if absolute is None else absolute), relative


def softmax(_: Dispatcher, op: Operation, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """Run a softmax; float16 to float32 is one kernel on CUDA: `native/SoftMax.cpp`."""
    operands = op.bind(args, kwargs)
    x, dtype = operands["self"], operands["dtype"]
    if x.dtype != torch.float16 or dtype != torch.float32:
        return run_composite(op.overload, args, kwargs)
    return fused_softmax(op.name)(x, operands["dim"], True)  # noqa: FBT003 - half to float


def fused_rms_norm(dispatcher: Dispatcher, op: Operation, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """Run `rms_norm` as one kernel, or decomposed if it needs gradients, which the fused kernel does not have here."""
    tensors = [one for one in args if isinstance(one, torch.Tensor)]
    if torch.is_grad_enabled() and any(one.requires_grad for one in tensors):
        return run_composite(op.overload, args, kwargs)
    return dispatcher.execute(op, args, kwargs)


def _softmax_on_host(operands: dict[str, Any], name: str) -> torch.Tensor:
    """Compute a softmax on the CPU, which has no kernel from float16 to float32."""
    x = operands["self"].float() if operands["half_to_float"] else operands["self"]
    out: torch.Tensor = fused_softmax(name)(x, operands["dim"], False)  # noqa: FBT003
    return out


ON_HOST: dict[str, Callable[[dict[str, Any]], Any]] = {
    "aten._softmax": functools.partial(_softmax_on_host, name="aten.softmax"),
    "aten._log_softmax": functools.partial(_softmax_on_host, name="aten.log_softmax"),
}
HANDLERS: dict[str, Handler] = {
    "aten.scaled_dot_product_attention": attention,
    "aten.cross_entropy_loss": cross_entropy,
    "aten.group_norm": group_norm,
    "aten.layer_norm": layer_norm,
    "aten.linalg_eigvals": eigenvalues,
    "aten.linear": linear,
    "aten.softmax": softmax,
    "aten.log_softmax": softmax,
    "aten._fused_rms_norm": fused_rms_norm,
}
# By overload: their other overloads end here too.
BY_OVERLOAD: dict[str, Handler] = {
    "aten._pack_padded_sequence.default": pack_padded_sequence,
    "aten.linalg_pinv.atol_rtol_tensor": pseudoinverse,
}
