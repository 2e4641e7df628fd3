"""How much of a pipeline is on its device while it runs."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import chain

import torch

from pytest_diffopt.probes.call_position import CallPosition
from pytest_diffopt.records import Residency


@dataclass(frozen=True, kw_only=True, slots=True)
class _Owner:
    """A module with tensors of its own, which hooks move together.

    Attributes:
        component: its component.
        module: the module.
        num_bytes: the size of its own parameters and buffers.
    """

    component: str
    module: torch.nn.Module
    num_bytes: int


class ResidencyTrace:
    """Samples which modules of each component are on the device, when a module starts.

    Each module is sampled outside of the loop, in the first step and in one later step: later steps repeat it.

    Args:
        modules: the components by name.
        device_type: the type of the device; on the CPU nothing is sampled, because nothing can leave it.
        position: the position of the call.
    """

    def __init__(self, modules: Mapping[str, torch.nn.Module], device_type: str, position: CallPosition) -> None:
        self._device_type = device_type
        self._position = position
        self._owners = {id(one.module): one for one in _owners(modules)}
        self._totals = dict.fromkeys(modules, 0)
        for one in self._owners.values():
            self._totals[one.component] += one.num_bytes
        self._most = dict.fromkeys(modules, 0)
        self._least = dict(self._totals)
        self._most_of_all = 0
        self._sampled: set[tuple[int, int]] = set()

    @property
    def is_on(self) -> bool:
        """Whether there is a device to be on."""
        return self._device_type != "cpu"

    def sample(self, started: torch.nn.Module) -> None:
        """Note what is on the device while a module runs; its own tensors are there, or are about to be moved."""
        step = self._position.step
        key = (id(started), -1 if step is None else min(step, 1))
        if key in self._sampled:
            return
        self._sampled.add(key)
        now = dict.fromkeys(self._totals, 0)
        for one in self._owners.values():
            if one.module is started or _device_of(one.module) == self._device_type:
                now[one.component] += one.num_bytes
        for name, size in now.items():
            self._most[name] = max(self._most[name], size)
            self._least[name] = min(self._least[name], size)
        self._most_of_all = max(self._most_of_all, sum(now.values()))

    def residency(self) -> tuple[Residency, ...]:
        """Return what was sampled."""
        if not self.is_on:
            return ()
        return tuple(
            Residency(component=name, total_bytes=total, most_bytes=self._most[name], least_bytes=self._least[name])
            for name, total in self._totals.items()
        )

    @property
    def most_resident_bytes(self) -> int:
        """The most bytes of all components together at one moment."""
        return self._most_of_all


def _owners(modules: Mapping[str, torch.nn.Module]) -> Iterator[_Owner]:
    for component, root in modules.items():
        for module in root.modules():
            size = sum(one.numel() * one.dtype.itemsize for one in _own_tensors(module))
            if size:
                yield _Owner(component=component, module=module, num_bytes=size)


def _own_tensors(module: torch.nn.Module) -> Iterator[torch.Tensor]:
    own = vars(module)  # `parameters(recurse=False)` is ten times as slow, and this runs a hundred thousand times
    return (one for one in chain(own["_parameters"].values(), own["_buffers"].values()) if one is not None)


def _device_of(module: torch.nn.Module) -> str:
    """Return the type of the device of a module's first tensor."""
    return next(one.device.type for one in _own_tensors(module))
