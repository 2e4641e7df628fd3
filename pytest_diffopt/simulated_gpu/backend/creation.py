"""Kernels of the simulated GPU that torch calls below Python subclasses: tensor creation, reads and fills from C++."""

from collections.abc import Callable
from typing import Any

import torch
from torch._ops import OpOverload

from pytest_diffopt._torch_private.higher_order_operators import implement_flex_attention, implement_out_dtype
from pytest_diffopt._torch_private.kernel_registration import kernel_name, register_kernels
from pytest_diffopt._torch_private.overloads import composite_overloads
from pytest_diffopt.errors import SimulationError
from pytest_diffopt.simulated_gpu.backend import decompositions, fast_paths, host_values
from pytest_diffopt.simulated_gpu.backend.dispatch import Dispatcher
from pytest_diffopt.simulated_gpu.backend.operation_schemas import operation
from pytest_diffopt.simulated_gpu.backend.tensor import Metadata, SimulatedTensor
from pytest_diffopt.simulated_gpu.cuda import autocast

_aten = torch.ops.aten

# Torch implements these by resizing an empty tensor; here each is one operation. All others start from `empty` or
# `empty_strided`.
_WHOLE = (
    _aten.arange.default, _aten.arange.start, _aten.arange.start_step, _aten.linspace.default, _aten.logspace.default,
    _aten.eye.default, _aten.eye.m, _aten.range.default, _aten.range.step, _aten.randperm.default,
    _aten.randperm.generator, _aten.tril_indices.default, _aten.triu_indices.default,
)  # fmt: skip


def _create(overload: OpOverload) -> Callable[..., SimulatedTensor]:
    def kernel(*args: Any, **kwargs: Any) -> SimulatedTensor:
        dispatcher = _dispatcher(overload)
        kwargs |= {"device": torch.device("cpu"), "pin_memory": False}
        created = dispatcher.results.new(None, overload(*args, **kwargs))
        dispatcher.ledger.cell().add_operation(str(overload), args, {})
        return created

    return kernel


def _empty(size: Any, **kwargs: Any) -> SimulatedTensor:
    shape_only = _aten.empty.memory_format(size, **kwargs | {"device": torch.device("meta"), "pin_memory": False})
    return _blank(_aten.empty.memory_format, Metadata.of_tensor(shape_only))


def _empty_strided(size: Any, stride: Any, *, dtype: torch.dtype | None = None, **_: Any) -> SimulatedTensor:
    return _blank(_aten.empty_strided.default, Metadata.of(size, stride, 0, dtype or torch.get_default_dtype()))


def _blank(overload: OpOverload, metadata: Metadata) -> SimulatedTensor:
    dispatcher = _dispatcher(overload)
    values = host_values.zeros(metadata) if dispatcher.results.keeps(metadata) else None
    return dispatcher.results.new(metadata, values, is_written=False)


def _dispatcher(overload: OpOverload) -> Dispatcher:
    executor = SimulatedTensor.executor
    if not isinstance(executor, Dispatcher):
        message = f"{overload} was called for the simulated GPU outside its block; use the device inside the block"
        raise SimulationError(message)
    return executor


def _forward(overload: OpOverload) -> Callable[..., Any]:
    return lambda *args, **kwargs: SimulatedTensor.executor.run(overload, args, kwargs)


def _handled(overload: OpOverload) -> Callable[..., Any]:
    op = operation(overload)
    handler = decompositions.HANDLERS[op.name]
    return lambda *args, **kwargs: handler(_dispatcher(overload), op, args, kwargs)


def register() -> None:
    """Register the kernels, once per process."""
    kernels: dict[str, Callable[..., Any]] = {kernel_name(one): _create(one) for one in _WHOLE}
    kernels |= {"empty.memory_format": _empty, "empty_strided": _empty_strided}
    kernels |= {
        "_local_scalar_dense": _forward(_aten._local_scalar_dense.default),  # noqa: SLF001 - an operation's name
        "copy_": _forward(_aten.copy_.default),
    }
    register_kernels(kernels, "PrivateUse1")
    # The autograd key comes before the decompositions that torch would choose for an unknown device.
    composites = {kernel_name(one): _handled(one) for one in composite_overloads(decompositions.HANDLERS)}
    register_kernels(composites, "AutogradPrivateUse1")
    autocast.register()
    fast_paths.register()
    implement_flex_attention(SimulatedTensor)
    implement_out_dtype(SimulatedTensor)
