"""The memory on a GPU that other things hold than what a call uses."""

import gc
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import torch

from pytest_diffopt._torch_private.cuda_memory import Allocation, allocation_of
from pytest_diffopt.pipelines.components import modules_of

# Tensors with memory of their own; a subclass that wraps others is left out, for Python knows those, too.
_PLAIN = (torch.Tensor, torch.nn.Parameter, torch.nn.Buffer)


class OtherTensors:
    """The tensors that were alive before a call was first made and that do not belong to what it uses.

    Memory that Python does not know (compiled code's, a library's) is not among them, and what the call itself leaves
    behind is not either.

    Args:
        used: what the call uses: its target and its arguments; if empty, no tensor belongs to others.
        device: the device.
    """

    def __init__(self, used: Iterable[Any], device: torch.device) -> None:
        self._used = tuple(used)
        self._device = device
        self._before = self._alive() if self._used else {}

    def bytes_now(self) -> int:
        """Return the bytes of those that are still alive."""
        if not self._before:
            return 0
        own, alive = self._allocations(_tensors_of(self._used)), self._alive()
        return sum(num_bytes for one, num_bytes in alive.items() if one in self._before and one not in own)

    def _alive(self) -> dict[Allocation, int]:
        # the type itself: asking some lazy objects for their class imports modules
        return self._allocations(one for one in gc.get_objects() if type(one) in _PLAIN)

    def _allocations(self, tensors: Iterable[torch.Tensor]) -> dict[Allocation, int]:
        there = (one for one in tensors if one.layout == torch.strided and _is_on(one.device, self._device))
        return dict(map(allocation_of, there))


def _is_on(device: torch.device, asked: torch.device) -> bool:
    return device.type == asked.type and asked.index in {None, device.index}


def _tensors_of(value: Any) -> Iterator[torch.Tensor]:
    """Yield the plain tensors of a pipeline, a module, an argument or a container of them."""
    if isinstance(value, torch.Tensor):
        yield from _plain(value)
    elif isinstance(value, Mapping):
        yield from _tensors_of(tuple(value.values()))
    elif isinstance(value, (list, tuple, set, frozenset)):
        for item in value:
            yield from _tensors_of(item)
    elif isinstance(value, torch.nn.Module):
        for module in value.modules():
            yield from _tensors_of([*module.parameters(recurse=False), *module.buffers(recurse=False)])
            yield from _kept_by(module)
    elif modules_of(value):
        yield from _tensors_of(modules_of(value))
        yield from _kept_by(value)
        for part in value.components.values():
            yield from _kept_by(part)


def _kept_by(part: Any) -> Iterator[torch.Tensor]:
    """Yield the tensors among an object's attributes and in its containers, as a scheduler or a cache keeps them."""
    kinds = (torch.Tensor, list, tuple, set, dict)
    yield from _tensors_of([kept for kept in getattr(part, "__dict__", {}).values() if isinstance(kept, kinds)])


def _plain(tensor: torch.Tensor) -> Iterator[torch.Tensor]:
    if type(tensor) in _PLAIN:
        yield tensor
    elif hasattr(tensor, "__tensor_flatten__"):
        names, _context = tensor.__tensor_flatten__()
        for name in names:
            yield from _plain(getattr(tensor, name))
