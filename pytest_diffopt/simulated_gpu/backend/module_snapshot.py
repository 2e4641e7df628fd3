"""Everything that is moved to the simulated GPU comes back as it was: the very same tensors, not copies."""

import operator
from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.utils._python_dispatch import is_traceable_wrapper_subclass

from pytest_diffopt._torch_private import simulated_device as private
from pytest_diffopt.simulated_gpu.backend.tensor import SimulatedTensor, make

_REGISTRIES = ("_parameters", "_buffers")
_COMPILED = "_compiled_call_impl"  # where `Module.compile` keeps what a call of the module runs
_Naming = Callable[[nn.Module, Callable[..., Any]], Callable[..., Any]]


class ModuleSnapshot:
    """Keeps what objects held before they were moved."""

    def __init__(self) -> None:
        self._naming: _Naming = lambda _, call: call
        self._compiled: list[tuple[nn.Module, Callable[..., Any], Callable[..., Any]]] = []
        self._modules: dict[int, tuple[nn.Module, dict[str, Any], dict[str, dict[str, Any]]]] = {}
        self._children: dict[int, dict[str, nn.Module | None]] = {}
        self._objects: dict[int, tuple[Any, dict[str, Any]]] = {}
        self._swapped: list[tuple[torch.Tensor, torch.Tensor]] = []
        self._wrappers: list[tuple[torch.Tensor, torch.Tensor]] = []

    def name_compiled(self, naming: "_Naming") -> None:
        """Let calls of modules that were compiled in place, which go ways of their own, say which module runs."""
        self._naming = naming

    def keep_modules(self, module: nn.Module) -> None:
        """Keep what a module and those inside it hold, unless it is kept already."""
        for one in module.modules():
            self.keep_module(one)

    def keep_module(self, module: nn.Module) -> None:
        """Keep what one module holds, unless it is kept already."""
        if id(module) not in self._modules:
            attributes = module.__dict__
            registries = {name: dict(attributes[name]) for name in _REGISTRIES}
            self._modules[id(module)] = (module, dict(attributes), registries)
            self._children[id(module)] = dict(attributes["_modules"])
            compiled = attributes.get(_COMPILED)
            if compiled is not None:
                attributes[_COMPILED] = named = self._naming(module, compiled)
                self._compiled.append((module, compiled, named))
            for one in registries["_parameters"].values():
                if one is not None and type(one) is not nn.Parameter and _is_wrapper(one):
                    self._wrappers.append((one, _counterpart(one)))

    def keep_called(self, module: nn.Module) -> None:
        """Keep what a module of the host's holds before it runs; one that was made on the device may die there."""
        if id(module) not in self._modules and not any(map(_holds_simulated, _registries(module))):
            self.keep_module(module)

    def keep_registering(self, module: nn.Module, _name: str, tensor: torch.Tensor | None) -> None:
        """Keep what a module holds before a tensor of the device is put into it."""
        if type(tensor) is SimulatedTensor:
            self.keep_module(module)

    def keep_object(self, thing: Any) -> None:
        """Keep the attributes of any object, as they are now."""
        if isinstance(thing, nn.Module):
            self.keep_modules(thing)
        elif id(thing) not in self._objects:
            self._objects[id(thing)] = (thing, dict(vars(thing)))

    def set_data(self, tensor: torch.Tensor, other: SimulatedTensor) -> None:
        """Let a host tensor become one on the device, as `parameter.data = other` does on a real GPU."""
        stand_in = make(other.metadata, other.allocation, other.host_data)
        if isinstance(tensor, nn.Parameter):
            stand_in._is_param = True  # noqa: SLF001 - how torch marks parameters of other classes
        stand_in.requires_grad_(tensor.requires_grad)
        private.swap(tensor, stand_in)
        self._swapped.append((tensor, stand_in))

    def restore(self) -> None:
        """Give everything back what it held."""
        for tensor, original in reversed(self._swapped):
            private.swap(tensor, original)
        for wrapper, counterpart in self._wrappers:
            if any(isinstance(inner, SimulatedTensor) for inner in _inner_tensors(wrapper)):
                private.swap(wrapper, counterpart)
        self._restore_modules()
        for thing, kept in self._objects.values():
            _restore_simulated(vars(thing), kept)
        for held in (self._modules, self._children, self._objects, self._swapped, self._wrappers, self._compiled):
            held.clear()

    def _restore_modules(self) -> None:
        for module, compiled, named in self._compiled:
            if module.__dict__.get(_COMPILED) is named:
                module.__dict__[_COMPILED] = compiled
        for module, _, _ in self._modules.values():  # first of all, while layers made on the device still show it
            _restore_simulated(module.__dict__["_modules"], self._children[id(module)])
        for module, plain, registries in self._modules.values():
            for name, kept in registries.items():
                registry = module.__dict__[name]
                if not _holds_the_same(registry, kept):
                    registry.clear()
                    registry.update(kept)
            _restore_simulated(module.__dict__, plain)


def _registries(module: nn.Module) -> tuple[dict[str, Any], dict[str, Any]]:
    return module.__dict__["_parameters"], module.__dict__["_buffers"]


def _counterpart(wrapper: torch.Tensor) -> nn.Parameter:
    """Return a parameter of the same inner tensors: torch moves a quantized weight by changing the object itself."""
    with torch.no_grad():
        return nn.Parameter(wrapper.detach(), requires_grad=wrapper.requires_grad)


def _is_wrapper(tensor: torch.Tensor) -> bool:
    return bool(is_traceable_wrapper_subclass(tensor))


def _inner_tensors(wrapper: Any) -> list[torch.Tensor]:
    names, _ = wrapper.__tensor_flatten__()
    return [getattr(wrapper, name) for name in names]


def _restore_simulated(attributes: dict[str, Any], kept: dict[str, Any]) -> None:
    """Undo the attributes that hold simulated tensors now, or were tensors before; leave every other change alone."""
    if _holds_the_same(attributes, kept):
        return
    for name, value in list(attributes.items()):
        was = kept.get(name)
        if value is not was and (_holds_simulated(value) or isinstance(was, torch.Tensor)):
            if name in kept:
                attributes[name] = was
            else:
                del attributes[name]


def _holds_the_same(attributes: dict[str, Any], kept: dict[str, Any]) -> bool:
    """Tell whether nothing has changed; most modules are as they were, and there are thousands."""
    return (
        len(attributes) == len(kept)
        and all(map(operator.is_, attributes.values(), kept.values()))
        and all(map(operator.is_, attributes, kept))
    )


def _holds_simulated(value: Any) -> bool:
    if isinstance(value, SimulatedTensor):
        return True
    if isinstance(value, nn.Module):  # a layer that was made on the device, such as a fused projection
        return any(isinstance(one, SimulatedTensor) for one in (*value.parameters(), *value.buffers()))
    if isinstance(value, list | tuple | set):
        return any(_holds_simulated(one) for one in value)
    return isinstance(value, dict) and any(_holds_simulated(one) for one in value.values())


def keeping_apply(snapshot: ModuleSnapshot) -> Callable[..., nn.Module]:
    """Return what stands for `nn.Module._apply` while a GPU is simulated: it keeps before it moves."""
    original: Callable[..., nn.Module] = nn.Module._apply  # noqa: SLF001 - what every way of moving a module ends in

    def apply(module: nn.Module, *args: Any, **kwargs: Any) -> nn.Module:
        snapshot.keep_module(module)  # those inside it come by here themselves before they are moved
        return original(module, *args, **kwargs)

    return apply
