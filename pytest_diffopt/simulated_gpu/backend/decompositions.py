"""Compositions that torch carries out otherwise on CUDA than on a backend that it does not know.

Torch takes these apart in C++ before a device is asked, and asks there which device it is: `group_norm` makes its input
contiguous on CUDA, a softmax of halves in floats is one kernel, `rms_norm` is fused. Each is sent CUDA's way. A linear
layer is the same everywhere, and so common that it is not taken apart.
"""

import functools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch

from pytest_diffopt._torch_private import simulated_device as private
from pytest_diffopt.simulated_gpu.backend import host_values
from pytest_diffopt.simulated_gpu.backend.dispatch import NOT_DONE, Dispatcher, Handler
from pytest_diffopt.simulated_gpu.backend.operation_schemas import Operation
from pytest_diffopt.simulated_gpu.backend.tensor import SimulatedTensor


def attention(dispatcher: Dispatcher, _: Operation, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """Carry out attention with the kernel that CUDA would choose, as one operation."""
    return dispatcher.handlers.attention(*args, **kwargs)


def cross_entropy(dispatcher: Dispatcher, facts: Operation, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """Carry out a loss that waits inside; a tensor subclass like ours is sent where it would not."""
    dispatcher.wait(facts.full_name, facts.bind(args, kwargs))
    return private.run_composite(facts.overload, args, kwargs)


def group_norm(dispatcher: Dispatcher, facts: Operation, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """Carry out `group_norm`, for which CUDA gives up channels_last: `native/group_norm.cpp`."""
    operands = facts.bind(args, kwargs)
    x, groups = operands["input"].contiguous(), operands["num_groups"]
    if private.is_watched() or x.dim() < _FEWEST_DIMENSIONS_IN_GROUPS or x.shape[1] % groups:
        return private.run_composite(facts.overload, (x, *args[1:]), kwargs)
    samples, channels, *extent = x.shape
    sizes = samples, channels, math.prod(extent), groups
    return dispatcher.run(
        private.NORMS["group"], (x, operands["weight"], operands["bias"], *sizes, operands["eps"]), {}
    )[0]


_FEWEST_DIMENSIONS_IN_GROUPS = 2  # samples and channels


def layer_norm(dispatcher: Dispatcher, facts: Operation, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """Carry out `layer_norm`, which is the first result of one operation: `native/layer_norm.cpp`."""
    if private.is_watched():
        return private.run_composite(facts.overload, args, kwargs)
    *operands, _ = facts.bind(args, kwargs).values()
    return dispatcher.run(private.NORMS["layer"], operands, {})[0]


def linear(dispatcher: Dispatcher, facts: Operation, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """Carry out a linear layer, which is one product; where nothing else is done the CPU takes it as one call too.

    Torch takes it apart into two views, the product and a view of it: four operations to look at instead of one.
    """
    done = linear_at_once(dispatcher, *(facts.argument(position, args, kwargs) for position in range(3)))
    return done if done is not NOT_DONE else private.run_composite(facts.overload, args, kwargs)


def linear_at_once(dispatcher: Dispatcher, x: Any, weight: Any, bias: Any = None) -> Any:
    """Let the CPU take a linear layer as one call, if it is one product of known values; else return `NOT_DONE`."""
    if not _is_one_product(dispatcher, x, weight, bias):
        return NOT_DONE
    hosts = host_values.known((x, weight, bias), dispatcher.ledger)
    if hosts is None or not hosts[0].is_contiguous():
        return NOT_DONE
    cell = dispatcher.ledger.cell()
    cell.operations += 1
    cell.flops += 2 * x.metadata.numel * weight.metadata.shape[0]
    return dispatcher.results.new(None, private.LINEAR(*hosts))


_MOST_DIMENSIONS_WITH_BIAS = 3  # above, `native/Linear.cpp` adds the bias apart


def _is_one_product(dispatcher: Dispatcher, x: Any, weight: Any, bias: Any) -> bool:
    """Tell whether torch sends a linear layer of contiguous input to one kernel: `native/Linear.cpp`."""
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


def softmax(_: Dispatcher, facts: Operation, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """Carry out a softmax, which CUDA computes in floats from halves in one kernel: `native/SoftMax.cpp`."""
    operands = facts.bind(args, kwargs)
    x, dtype = operands["self"], operands["dtype"]
    if x.dtype != torch.float16 or dtype != torch.float32:
        return private.run_composite(facts.overload, args, kwargs)
    return private.fused_softmax(facts.name)(x, operands["dim"], True)  # noqa: FBT003 - half to float


def fused_rms_norm(dispatcher: Dispatcher, facts: Operation, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """Carry out `rms_norm` as one kernel, unless gradients are wanted, which only its composition knows here."""
    tensors = [one for one in args if isinstance(one, torch.Tensor)]
    if torch.is_grad_enabled() and any(one.requires_grad for one in tensors):
        return private.run_composite(facts.overload, args, kwargs)
    return dispatcher.carry_out(facts, args, kwargs)


def _softmax_on_host(operands: dict[str, Any], name: str) -> torch.Tensor:
    """Compute on the CPU, which has no kernel that goes from halves to floats."""
    x = operands["self"].float() if operands["half_to_float"] else operands["self"]
    out: torch.Tensor = private.fused_softmax(name)(x, operands["dim"], False)  # noqa: FBT003
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
    "aten.linear": linear,
    "aten.softmax": softmax,
    "aten.log_softmax": softmax,
    "aten._fused_rms_norm": fused_rms_norm,
}
