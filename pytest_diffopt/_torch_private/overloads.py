"""Overloads of aten operations: look them up, read their schemas, call them below the dispatcher."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import torch
from torch._ops import OpOverload

NORMS: Mapping[str, OpOverload] = {
    "group": torch.ops.aten.native_group_norm.default,
    "layer": torch.ops.aten.native_layer_norm.default,
}
EIGENVALUES: OpOverload = torch.ops.aten._linalg_eigvals.default
#: The original `functional.linear`, which the simulation patches.
LINEAR: Callable[..., torch.Tensor] = torch._C._nn.linear


def overload_named(name: str) -> OpOverload:
    """Return an aten overload by the name of its kernels: `softmax.int`, `linear`."""
    packet, _, variant = name.partition(".")
    found: OpOverload = getattr(getattr(torch.ops.aten, packet), variant or "default")
    return found


def composite_overloads(names: Iterable[str]) -> tuple[OpOverload, ...]:
    """Return the `default` and `int` overloads of composite operations, given as `aten.group_norm`."""
    packets = [getattr(torch.ops.aten, name.removeprefix("aten.")) for name in names]
    return tuple(
        getattr(packet, name) for packet in packets for name in packet.overloads() if name in ("default", "int")
    )


def fused_softmax(name: str) -> OpOverload:
    """Return the kernel of `aten.softmax` or `aten.log_softmax`."""
    found: OpOverload = getattr(torch.ops.aten, "_" + name.removeprefix("aten.")).default
    return found


def schema_arguments(overload: OpOverload) -> Sequence[Any]:
    """Return the arguments in an overload's schema."""
    found: Sequence[Any] = overload._schema.arguments
    return found


def schema_returns(overload: OpOverload) -> Sequence[Any]:
    """Return the results in an overload's schema."""
    found: Sequence[Any] = overload._schema.returns
    return found


def has_out_argument(overload: OpOverload) -> bool:
    """Return whether an overload writes its result to an `out` argument."""
    return "out" in overload._overloadname


def direct_call(overload: OpOverload) -> Callable[..., Any]:
    """Return the C++ function that `overload.__call__` wraps."""
    return overload._op


def is_composite(overload: OpOverload) -> bool:
    """Return whether torch decomposes an operation on every device."""
    name = ".".join(filter(None, (overload._schema.name, overload._schema.overload_name)))
    return bool(torch._C._dispatch_has_kernel_for_dispatch_key(name, torch._C.DispatchKey.CompositeImplicitAutograd))


def run_composite(overload: OpOverload, args: Any, kwargs: Any) -> Any:
    """Run torch's own decomposition of an operation."""
    return overload._op_dk(torch._C.DispatchKey.CompositeImplicitAutograd, *args, **kwargs)


def run_explicit_composite(overload: OpOverload, args: Any, kwargs: Any) -> Any:
    """Run what torch runs for CUDA and the CPU alike above autograd: its decomposition, although it has gradients."""
    return overload._op_dk(torch._C.DispatchKey.CompositeExplicitAutograd, *args, **kwargs)


def depends_on_data(overload: OpOverload) -> bool:
    """Return whether torch declares that an operation's result, or its shape, depends on values."""
    return bool({torch.Tag.data_dependent_output, torch.Tag.dynamic_output_shape} & set(overload.tags))
