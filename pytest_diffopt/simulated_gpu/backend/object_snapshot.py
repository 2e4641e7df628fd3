"""Snapshots of plain objects, lists and dicts, which may hold simulated tensors when the block ends."""

import operator
from types import FunctionType, MethodType, ModuleType
from typing import Any

import torch
from torch import nn

from pytest_diffopt.simulated_gpu.backend.tensor import SimulatedTensor

_LEAVES = (
    str,
    bytes,
    int,
    float,
    complex,
    type(None),
    type,
    FunctionType,
    MethodType,
    ModuleType,
    torch.Tensor,
    torch.dtype,
    torch.device,
    nn.Module,
)
# How deep objects are followed: a cache is a few attributes away from the module that fills it.
_MAX_DEPTH = 6
# A larger container is a vocabulary; if it is a cache after all, it is found among what is left over.
_MAX_ELEMENTS = 1024


class ObjectSnapshot:
    """Records what objects and containers hold, and restores what became a tensor of the simulated GPU."""

    def __init__(self) -> None:
        self._attributes: dict[int, tuple[Any, dict[str, Any], dict[str, Any]]] = {}
        self._dicts: dict[int, tuple[dict[Any, Any], dict[Any, Any]]] = {}
        self._lists: dict[int, tuple[list[Any], list[Any]]] = {}

    def keep(self, value: Any, depth: int = _MAX_DEPTH) -> None:
        """Record an object and what it holds, but no modules."""
        if isinstance(value, _LEAVES) or not depth:
            return
        if isinstance(value, list | dict | tuple | set | frozenset) and len(value) > _MAX_ELEMENTS:
            return
        if isinstance(value, list):
            self._keep_list(value, depth)
        elif isinstance(value, dict):
            self._keep_dict(value, depth)
        elif isinstance(value, tuple | set | frozenset):
            for one in value:
                self.keep(one, depth - 1)
        else:
            self._keep_attributes(value, depth)

    def restore(self) -> None:
        """Restore the attributes and elements that hold simulated tensors or held tensors before."""
        for _, attributes, kept in self._attributes.values():
            restore_simulated(attributes, kept)
        for found, kept in self._dicts.values():
            if not holds_the_same(found, kept) and holds_simulated(found):
                restore_simulated(found, kept)
        for elements, before in self._lists.values():
            if holds_simulated(elements):
                elements[:] = before
        for held in (self._attributes, self._dicts, self._lists):
            held.clear()

    def _keep_list(self, found: list[Any], depth: int) -> None:
        if id(found) not in self._lists:
            self._lists[id(found)] = (found, list(found))
            for one in found:
                self.keep(one, depth - 1)

    def _keep_dict(self, found: dict[Any, Any], depth: int) -> None:
        if id(found) not in self._dicts:
            self._dicts[id(found)] = (found, dict(found))
            for one in found.values():
                self.keep(one, depth - 1)

    def _keep_attributes(self, thing: Any, depth: int) -> None:
        attributes = getattr(thing, "__dict__", None)
        if type(attributes) is dict and id(thing) not in self._attributes:
            self._attributes[id(thing)] = (thing, attributes, dict(attributes))
            for one in attributes.values():
                self.keep(one, depth - 1)


def restore_simulated(attributes: dict[Any, Any], kept: dict[Any, Any]) -> None:
    """Restore the attributes that hold simulated tensors or held tensors before; keep every other change."""
    if holds_the_same(attributes, kept):
        return
    for name, value in list(attributes.items()):
        was = kept.get(name)
        if value is not was and (holds_simulated(value) or isinstance(was, torch.Tensor)):
            if name in kept:
                attributes[name] = was
            else:
                del attributes[name]


def holds_the_same(attributes: dict[Any, Any], kept: dict[Any, Any]) -> bool:
    """Return whether nothing changed. This is the common case, and a pipeline has thousands of modules."""
    return (
        len(attributes) == len(kept)
        and all(map(operator.is_, attributes.values(), kept.values()))
        and all(map(operator.is_, attributes, kept))
    )


def holds_simulated(value: Any) -> bool:
    """Return whether a value is a simulated tensor, or a container or module with one."""
    if isinstance(value, SimulatedTensor):
        return True
    if isinstance(value, nn.Module):  # a layer that was made on the device, such as a fused projection
        return any(isinstance(one, SimulatedTensor) for one in (*value.parameters(), *value.buffers()))
    if isinstance(value, list | tuple | set | frozenset):
        return any(holds_simulated(one) for one in value)
    return isinstance(value, dict) and any(holds_simulated(one) for one in value.values())
