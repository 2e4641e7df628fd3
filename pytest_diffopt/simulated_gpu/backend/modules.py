"""Moves modules to the simulated GPU and back, as `Module.to` moves them to a GPU.

On a GPU a parameter that several modules share stays one object. A simulated tensor is of another class, hence a new
object, so torch's own `to` would copy a shared parameter once for each module.
"""

import functools
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from pytest_diffopt._torch_private.dispatch_state import has_active_modes
from pytest_diffopt._torch_private.module_internals import apply_method, parse_to
from pytest_diffopt._torch_private.spare_backend import DEVICE_TYPE, simulated_device
from pytest_diffopt._torch_private.tensor_wrappers import mark_as_parameter
from pytest_diffopt.simulated_gpu.backend import copies
from pytest_diffopt.simulated_gpu.backend.dispatch import Dispatcher
from pytest_diffopt.simulated_gpu.backend.module_snapshot import ModuleSnapshot
from pytest_diffopt.simulated_gpu.backend.tensor import SimulatedTensor


def module_to(dispatcher: Dispatcher, snapshot: ModuleSnapshot) -> Callable[..., nn.Module]:
    """Return the replacement of `nn.Module.to`."""
    original: Callable[..., nn.Module] = nn.Module.to

    def to(module: nn.Module, *args: Any, **kwargs: Any) -> nn.Module:
        device, dtype, non_blocking, memory_format = parse_to(*args, **kwargs)
        changes = dtype is not None or memory_format is not None or has_active_modes()
        if device is not None and not changes:
            if device in _devices():
                _Move(dispatcher, snapshot, device, non_blocking=non_blocking).move(module)
                return module
            if device.type == "cpu" and all(map(_can_leave, module.modules())):
                _leave(module, snapshot, device, non_blocking=non_blocking)
                return module
        return original(module, *args, **kwargs)

    return to


@functools.cache
def _devices() -> tuple[torch.device, ...]:
    return simulated_device(), torch.device(DEVICE_TYPE)


def _can_leave(module: nn.Module) -> bool:
    """Return whether all parameters of one module are plain tensors, of which none has a gradient."""
    is_plain = apply_method(type(module)) is apply_method(nn.Module)
    parameters = module.__dict__["_parameters"].values()
    return is_plain and all(one is None or (type(one) in _MOVABLE and one.grad is None) for one in parameters)


def _leave(module: nn.Module, snapshot: ModuleSnapshot, device: torch.device, *, non_blocking: bool) -> None:
    """Move a module to the host. Each parameter stays the same object, as on a GPU."""
    for one in module.modules():
        snapshot.keep_module(one)
        for parameter in one.__dict__["_parameters"].values():
            if type(parameter) is SimulatedTensor:
                parameter.data = parameter.to(device, non_blocking=non_blocking)
        buffers = one.__dict__["_buffers"]
        for name, buffer in buffers.items():
            if buffer is not None:
                buffers[name] = buffer.to(device, non_blocking=non_blocking)


class _Move:
    """One call of `to`."""

    def __init__(
        self, dispatcher: Dispatcher, snapshot: ModuleSnapshot, device: torch.device, *, non_blocking: bool
    ) -> None:
        self._dispatcher = dispatcher
        self._snapshot = snapshot
        self._device = device
        self._non_blocking = non_blocking
        self._apply = apply_method(nn.Module)
        self._moved: dict[nn.Parameter, SimulatedTensor] = {}

    def move(self, module: nn.Module) -> None:
        """Move a module and its submodules."""
        own = apply_method(type(module))
        if own is not self._apply:
            own(module, self._convert)
            return
        self._snapshot.keep_module(module)
        for child in module.children():
            self.move(child)
        attributes = module.__dict__
        parameters, buffers = attributes["_parameters"], attributes["_buffers"]
        if any(map(_needs_torch, parameters.values())):
            self._apply(module, self._convert, recurse=False)
            return
        for name, parameter in parameters.items():
            if type(parameter) is nn.Parameter:
                parameters[name] = self._parameter(parameter)
        for name, buffer in buffers.items():
            if buffer is not None:
                buffers[name] = self._convert(buffer)

    def _parameter(self, parameter: nn.Parameter) -> SimulatedTensor:
        found = self._moved.get(parameter)
        if found is None:
            found = self._moved[parameter] = self._convert(parameter)
            mark_as_parameter(found)
            found.requires_grad_(parameter.requires_grad)
        return found

    def _convert(self, tensor: torch.Tensor) -> Any:
        is_plain = type(tensor) in _PLAIN and tensor.layout is torch.strided and not tensor.is_quantized
        if is_plain and tensor.device.type in _HOSTS and tensor.is_contiguous():
            return copies.send(self._dispatcher, tensor, non_blocking=self._non_blocking)
        return tensor.to(self._device, None, self._non_blocking)


_PLAIN = (torch.Tensor, nn.Parameter)
_MOVABLE = (nn.Parameter, SimulatedTensor)
_HOSTS = ("cpu", "meta")


def _needs_torch(parameter: torch.Tensor | None) -> bool:
    """Return whether torch must move a parameter: it is of another class, or has a gradient."""
    if parameter is None or type(parameter) is SimulatedTensor:
        return False
    return type(parameter) is not nn.Parameter or parameter.grad is not None
