"""Snapshots of modules and objects, restored when the block ends: the same tensor objects, not copies."""

from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.utils._python_dispatch import is_traceable_wrapper_subclass

from pytest_diffopt._torch_private.module_internals import COMPILED_CALL, apply_method
from pytest_diffopt._torch_private.tensor_wrappers import mark_as_parameter, swap_tensors
from pytest_diffopt.simulated_gpu.backend.object_snapshot import (
    ObjectSnapshot,
    holds_simulated,
    holds_the_same,
    restore_simulated,
)
from pytest_diffopt.simulated_gpu.backend.tensor import SimulatedTensor, make

_REGISTRIES = ("_parameters", "_buffers")
# What every module has: parameters, hooks and flags, none of which holds another tensor.
_OF_EVERY_MODULE = frozenset(vars(nn.Module()))
_Naming = Callable[[nn.Module, Callable[..., Any]], Callable[..., Any]]


class ModuleSnapshot:
    """Records what modules and objects held before they were moved, and restores it."""

    def __init__(self) -> None:
        self._naming: _Naming = lambda _, call: call
        self._compiled: list[tuple[nn.Module, Callable[..., Any], Callable[..., Any]]] = []
        self._modules: dict[int, tuple[nn.Module, dict[str, Any], dict[str, dict[str, Any]]]] = {}
        self._children: dict[int, dict[str, nn.Module | None]] = {}
        self._objects = ObjectSnapshot()
        self._swapped: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}
        self._wrappers: list[tuple[torch.Tensor, torch.Tensor]] = []

    def name_compiled(self, naming: "_Naming") -> None:
        """Wrap the compiled call of each module that is kept from now on.

        Args:
            naming: returns the wrapper from the module and its compiled call, which bypasses `nn.Module._call_impl`.
        """
        self._naming = naming

    def keep_modules(self, module: nn.Module) -> None:
        """Record a module and its submodules, unless they are recorded already."""
        for one in module.modules():
            self.keep_module(one)

    def keep_module(self, module: nn.Module) -> None:
        """Record one module, unless it is recorded already."""
        if id(module) not in self._modules:
            attributes = module.__dict__
            registries = {name: dict(attributes[name]) for name in _REGISTRIES}
            self._modules[id(module)] = (module, dict(attributes), registries)
            self._children[id(module)] = dict(attributes["_modules"])
            for name, value in attributes.items():
                if name not in _OF_EVERY_MODULE:
                    self._objects.keep(value)
            compiled = attributes.get(COMPILED_CALL)
            if compiled is not None:
                attributes[COMPILED_CALL] = named = self._naming(module, compiled)
                self._compiled.append((module, compiled, named))
            for one in registries["_parameters"].values():
                if one is not None and type(one) is not nn.Parameter and _is_wrapper(one):
                    self._wrappers.append((one, _clone_of_wrapper(one)))

    def keep_called(self, module: nn.Module) -> None:
        """Record a module on the host before it runs; one that was created on the device needs no restoring."""
        if id(module) not in self._modules and not any(map(holds_simulated, _registries(module))):
            self.keep_module(module)

    def keep_registering(self, module: nn.Module, _name: str, tensor: torch.Tensor | None) -> None:
        """Record a module before a tensor of the device is registered in it."""
        if type(tensor) is SimulatedTensor:
            self.keep_module(module)

    def keep_object(self, thing: Any) -> None:
        """Record the attributes of any object."""
        if isinstance(thing, nn.Module):
            self.keep_modules(thing)
        else:
            self._objects.keep(thing)

    def set_data(self, tensor: torch.Tensor, other: SimulatedTensor) -> None:
        """Turn a host tensor into one on the device, as `parameter.data = other` does on a real GPU."""
        replacement = make(other.metadata, other.allocation, other.host_data)
        if isinstance(tensor, nn.Parameter):
            mark_as_parameter(replacement)
        replacement.requires_grad_(tensor.requires_grad)
        swap_tensors(tensor, replacement)
        # Offload moves a parameter to the device and back in every call; only the first move replaces the original.
        self._swapped.setdefault(id(tensor), (tensor, replacement))

    def restore(self) -> None:
        """Restore everything that was recorded."""
        for tensor, original in self._swapped.values():
            swap_tensors(tensor, original)
        for wrapper, original in self._wrappers:
            if any(isinstance(inner, SimulatedTensor) for inner in _inner_tensors(wrapper)):
                swap_tensors(wrapper, original)
        self._restore_modules()
        self._objects.restore()
        for held in (self._modules, self._children, self._swapped, self._wrappers, self._compiled):
            held.clear()

    def _restore_modules(self) -> None:
        for module, compiled, named in self._compiled:
            if module.__dict__.get(COMPILED_CALL) is named:
                module.__dict__[COMPILED_CALL] = compiled
        for module, _, _ in self._modules.values():  # first, while layers made on the device can be recognized
            restore_simulated(module.__dict__["_modules"], self._children[id(module)])
        for module, plain, registries in self._modules.values():
            for name, kept in registries.items():
                registry = module.__dict__[name]
                if not holds_the_same(registry, kept):
                    registry.clear()
                    registry.update(kept)
            restore_simulated(module.__dict__, plain)


def _registries(module: nn.Module) -> tuple[dict[str, Any], dict[str, Any]]:
    return module.__dict__["_parameters"], module.__dict__["_buffers"]


def _clone_of_wrapper(wrapper: torch.Tensor) -> nn.Parameter:
    """Return a parameter of the same inner tensors: torch moves a quantized weight by changing the object in place."""
    with torch.no_grad():
        return nn.Parameter(wrapper.detach(), requires_grad=wrapper.requires_grad)


def _is_wrapper(tensor: torch.Tensor) -> bool:
    return bool(is_traceable_wrapper_subclass(tensor))


def _inner_tensors(wrapper: Any) -> list[torch.Tensor]:
    names, _ = wrapper.__tensor_flatten__()
    return [getattr(wrapper, name) for name in names]


def recording_apply(snapshot: ModuleSnapshot) -> Callable[..., nn.Module]:
    """Return the replacement of `nn.Module._apply`: it records a module before moving it."""
    original: Callable[..., nn.Module] = apply_method(nn.Module)

    def apply(module: nn.Module, *args: Any, **kwargs: Any) -> nn.Module:
        snapshot.keep_module(module)  # `original` calls this function for each submodule
        return original(module, *args, **kwargs)

    return apply
