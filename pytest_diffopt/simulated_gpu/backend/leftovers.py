"""Tensors of the simulated GPU that caches outside of modules still hold when the block has ended.

Libraries cache per device: in an `lru_cache`, in a dict of a Python module or class, in a plain object. An entry for
the simulated GPU would be found by the next block, or moved to the CPU by the next plain call, and neither could read
it. So the caches are emptied of such entries, as they were before the block.
"""

import gc
from collections.abc import Hashable, Iterator, Sequence
from contextlib import contextmanager
from types import CellType, FrameType, ModuleType
from typing import Any

import torch
from torch import nn

from pytest_diffopt.simulated_gpu.backend.tensor import SimulatedTensor
from pytest_diffopt.simulated_gpu.cost.accounting import CostLedger

# A tensor in a tuple in a list in a dict: a value of a cache is rarely nested deeper.
_MAX_DEPTH = 4
_REGISTRIES = ("_parameters", "_buffers", "_modules")


def evict_leftovers(ledger: CostLedger) -> None:
    """Remove the tensors of one simulation from every cache; a tensor in a local variable is left to its owner.

    Args:
        ledger: the ledger of the simulation, which knows whether any of its tensors is alive.
    """
    if ledger.memory.num_alive:  # a search through all objects of the process takes a tenth of a second
        with _frozen_objects_visible():
            _Search(ledger).evict()


@contextmanager
def _frozen_objects_visible() -> Iterator[None]:
    """Let the collector show the objects that `gc.freeze()` excluded; all that is alive is excluded afterwards."""
    if not gc.get_freeze_count():
        yield
        return
    gc.collect()  # frozen garbage would never be freed; now, it does not walk through all of torch
    gc.unfreeze()
    try:
        yield
    finally:
        gc.freeze()


class _Search:
    """One search through the objects of the process, from the tensors up to the caches that hold them."""

    def __init__(self, ledger: CostLedger) -> None:
        self._ledger = ledger

    def evict(self) -> None:
        """Remove the tensors from what holds them, level by level."""
        # An object refers to its class, so the collector finds them, three times as fast as a loop over all objects.
        level: list[Any] = [one for one in gc.get_referrers(SimulatedTensor) if self._is_leftover(one)]
        for _ in range(_MAX_DEPTH):
            if not level:
                return
            level = self._emptied(_holders_of(level))

    def _emptied(self, holders: list[Any]) -> list[Any]:
        """Empty the caches among the holders; return the immutable ones, whose own holders must be changed."""
        containers = [one for one in holders if isinstance(one, dict | list | set)]
        owners = _owners_of(containers, but_not=holders)
        for one in holders:
            if hasattr(one, "cache_clear"):
                one.cache_clear()
            elif isinstance(one, CellType):
                one.cell_contents = self._on_host(one.cell_contents)
            elif isinstance(one, dict | list | set):
                self._empty(one, owners.get(id(one), []))
            elif not isinstance(one, tuple | frozenset):
                self._empty_attributes(one)
        return [one for one in holders if isinstance(one, tuple | frozenset)]

    def _empty(self, container: Any, owners: Sequence[Any]) -> None:
        if not owners or any(_is_registry(container, owner) for owner in owners):
            return  # a local variable's container; or a module that was made in the block, which is the user's
        if isinstance(container, list):
            container[:] = [self._on_host(one) for one in container]
        elif isinstance(container, set):
            container.difference_update([one for one in container if self._holds(one)])
        elif any(_is_namespace(container, owner) for owner in owners):
            self._empty_namespace(container)
        else:
            for key in [key for key, value in container.items() if self._holds(value) or self._holds(key)]:
                self._remove(container, key)

    def _remove(self, container: dict[Any, Any], key: Any) -> None:
        try:
            del container[key]
        except Exception:  # noqa: BLE001 - an output of transformers, which keeps its entries, raises just that
            container[key] = self._on_host(container[key])

    def _empty_attributes(self, thing: Any) -> None:
        attributes = getattr(thing, "__dict__", None)
        if type(attributes) is dict and not isinstance(thing, torch.Tensor):
            self._empty_namespace(attributes)

    def _empty_namespace(self, attributes: dict[str, Any]) -> None:
        for name, value in list(attributes.items()):
            if self._holds(value):
                attributes[name] = self._on_host(value)

    def _is_leftover(self, one: Any) -> bool:
        return type(one) is SimulatedTensor and one.allocation.ledger is self._ledger

    def _holds(self, value: Any) -> bool:
        if isinstance(value, tuple | list | set | frozenset):
            return any(map(self._holds, value))
        return self._is_leftover(value)

    def _on_host(self, value: Any) -> Any:
        """Return a value with its tensors on the host; None for a tensor whose values were never computed."""
        if self._is_leftover(value):
            return value.host_data.clone() if value.has_data else None
        return type(value)(map(self._on_host, value)) if type(value) in {tuple, list, set, frozenset} else value


def _holders_of(level: list[Any]) -> list[Any]:
    """Return what refers to the objects, apart from the local variables of running functions."""
    return [one for one in gc.get_referrers(*level) if one is not level and type(one) is not FrameType]


def _owners_of(containers: list[Any], *, but_not: list[Any]) -> dict[int, list[Any]]:
    """Return what holds each container, apart from local variables and the list `but_not`."""
    expected = {id(one) for one in containers}
    owners: dict[int, list[Any]] = {}
    for holder in _holders_of(containers) if containers else ():
        if holder is but_not:
            continue
        for held in gc.get_referents(holder):
            if id(held) in expected:
                owners.setdefault(id(held), []).append(holder)
    return owners


def _is_namespace(attributes: dict[Hashable, Any], owner: Any) -> bool:
    return isinstance(owner, ModuleType | type) or getattr(owner, "__dict__", None) is attributes


def _is_registry(container: Any, owner: Any) -> bool:
    attributes = vars(owner) if isinstance(owner, nn.Module) else owner
    return isinstance(attributes, dict) and any(attributes.get(name) is container for name in _REGISTRIES)
