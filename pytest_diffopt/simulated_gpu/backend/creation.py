"""Tensors that are created on the simulated GPU: what torch runs below every Python subclass."""

from collections.abc import Callable
from typing import Any

import torch
from torch._ops import OpOverload

from pytest_diffopt._torch_private import simulated_device as private
from pytest_diffopt.errors import SimulationError
from pytest_diffopt.simulated_gpu.backend import decompositions, fast_paths, host_values
from pytest_diffopt.simulated_gpu.backend.dispatch import Dispatcher
from pytest_diffopt.simulated_gpu.backend.operation_schemas import operation
from pytest_diffopt.simulated_gpu.backend.tensor import Metadata, SimulatedTensor
from pytest_diffopt.simulated_gpu.cuda import autocast

_aten = torch.ops.aten

# torch builds these by growing an empty tensor; here they are made at once. All others start from the two `empty`s.
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
        dispatcher.ledger.cell().operations += 1
        return created

    return kernel


def _empty(size: Any, **kwargs: Any) -> SimulatedTensor:
    shape_only = _aten.empty.memory_format(size, **kwargs | {"device": torch.device("meta"), "pin_memory": False})
    return _blank(_aten.empty.memory_format, Metadata.of_tensor(shape_only))


def _empty_strided(size: Any, stride: Any, *, dtype: torch.dtype | None = None, **_: Any) -> SimulatedTensor:
    return _blank(_aten.empty_strided.default, Metadata.of(size, stride, 0, dtype or torch.get_default_dtype()))


def _blank(overload: OpOverload, metadata: Metadata) -> SimulatedTensor:
    dispatcher = _dispatcher(overload)
    if not dispatcher.results.keeps(metadata):
        return dispatcher.results.new(metadata, None)
    return dispatcher.results.new(metadata, host_values.zeros(metadata))


def _dispatcher(overload: OpOverload) -> Dispatcher:
    executor = SimulatedTensor.executor
    if not isinstance(executor, Dispatcher):
        message = f"{overload} was called for the simulated GPU outside its block, where it does not exist"
        raise SimulationError(message)
    return executor


def _pass_on(overload: OpOverload) -> Callable[..., Any]:
    return lambda *args, **kwargs: SimulatedTensor.executor.run(overload, args, kwargs)


def _routed(overload: OpOverload) -> Callable[..., Any]:
    facts = operation(overload)
    route = decompositions.HANDLERS[facts.name]
    return lambda *args, **kwargs: route(_dispatcher(overload), facts, args, kwargs)


def register() -> None:
    """Let torch create tensors on the device, and read and fill them from C++, where no subclass is asked."""
    kernels: dict[str, Callable[..., Any]] = {private.kernel_name(one): _create(one) for one in _WHOLE}
    kernels |= {"empty.memory_format": _empty, "empty_strided": _empty_strided}
    kernels |= {
        "_local_scalar_dense": _pass_on(_aten._local_scalar_dense.default),  # noqa: SLF001
        "copy_": _pass_on(_aten.copy_.default),
    }
    private.register_kernels(kernels, "PrivateUse1")
    # Above the compositions that torch chooses for a device that it does not know.
    above = {private.kernel_name(one): _routed(one) for one in private.routed_operations(decompositions.HANDLERS)}
    private.register_kernels(above, "AutogradPrivateUse1")
    autocast.register()
    fast_paths.register()
    private.let_flex_attention_in(SimulatedTensor)
    private.let_out_dtype_in(SimulatedTensor)
