"""How much of a pipeline is on its device while it runs."""

from collections.abc import Iterable, Mapping

import torch

from pytest_diffopt.records import Residency


class ResidencyTrace:
    """Samples which tensors of each component are on the device, whenever a module starts.

    Args:
        modules: the components by name.
        device_type: the type of the device; on the CPU nothing is sampled, because nothing can leave it.
    """

    def __init__(self, modules: Mapping[str, torch.nn.Module], device_type: str) -> None:
        self._modules = modules
        self._device_type = device_type
        self._totals = {name: sum(map(_size, _tensors(module))) for name, module in modules.items()}
        self._most = dict.fromkeys(modules, 0)
        self._least = dict(self._totals)
        self._most_of_all = 0

    @property
    def is_on(self) -> bool:
        """Whether there is a device to be on."""
        return self._device_type != "cpu"

    def sample(self) -> None:
        """Note what is on the device now."""
        now = {name: self._on_device(module) for name, module in self._modules.items()}
        for name, size in now.items():
            self._most[name] = max(self._most[name], size)
            self._least[name] = min(self._least[name], size)
        self._most_of_all = max(self._most_of_all, sum(now.values()))

    def residency(self) -> tuple[Residency, ...]:
        """Return what was sampled."""
        if not self.is_on:
            return ()
        return tuple(
            Residency(
                component=name, total_bytes=total, most_bytes=self._most[name], least_bytes=self._least[name]
            )
            for name, total in self._totals.items()
        )

    @property
    def most_resident_bytes(self) -> int:
        """The most bytes of all components together at one moment."""
        return self._most_of_all

    def _on_device(self, module: torch.nn.Module) -> int:
        return sum(_size(one) for one in _tensors(module) if one.device.type == self._device_type)


def _tensors(module: torch.nn.Module) -> Iterable[torch.Tensor]:
    yield from module.parameters()
    yield from module.buffers()


def _size(tensor: torch.Tensor) -> int:
    return tensor.numel() * tensor.dtype.itemsize
