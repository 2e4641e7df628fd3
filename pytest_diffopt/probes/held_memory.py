"""The memory on a GPU that other things hold than what a call uses."""

import gc
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import torch

from pytest_diffopt._torch_private.cuda_memory import allocated_bytes
from pytest_diffopt.pipelines.components import modules_of

# Tensors with memory of their own; a subclass that wraps others is left out, for Python knows those, too.
_PLAIN = (torch.Tensor, torch.nn.Parameter, torch.nn.Buffer)


def bytes_held_by_others(used: Iterable[Any], device: torch.device) -> int:
    """Return the bytes of the live tensors on a device that do not belong to what a call uses.

    Memory that Python does not know (compiled code's, a library's) is not among them.

    Args:
        used: what the call uses: its target and its arguments.
        device: the device.
    """
    own = dict(map(allocated_bytes, _on(device, _tensors_of(used))))
    # the type itself: asking some lazy objects for their class imports modules
    everything = (one for one in gc.get_objects() if type(one) in _PLAIN)
    held = dict(map(allocated_bytes, _on(device, everything)))
    return sum(num_bytes for address, num_bytes in held.items() if address not in own)


def _on(device: torch.device, tensors: Iterable[torch.Tensor]) -> Iterator[torch.Tensor]:
    for tensor in tensors:
        is_there = tensor.device.type == device.type and device.index in {None, tensor.device.index}
        if is_there and tensor.layout == torch.strided:
            yield tensor


def _tensors_of(value: Any) -> Iterator[torch.Tensor]:
    """Yield the plain tensors of a pipeline, a module, an argument or a container of them."""
    if isinstance(value, torch.Tensor):
        yield from _plain(value)
    elif isinstance(value, Mapping):
        yield from _tensors_of(list(value.values()))
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _tensors_of(item)
    elif isinstance(value, torch.nn.Module):
        for module in value.modules():
            yield from _tensors_of([*module.parameters(recurse=False), *module.buffers(recurse=False)])
            yield from _tensors_of(_kept_by(module))
    elif modules_of(value):
        yield from _tensors_of(modules_of(value))
        for part in value.components.values():
            yield from _tensors_of(_kept_by(part))


def _kept_by(part: Any) -> list[torch.Tensor]:
    """Return the tensors among an object's attributes, as a scheduler keeps them."""
    return [kept for kept in getattr(part, "__dict__", {}).values() if isinstance(kept, torch.Tensor)]


def _plain(tensor: torch.Tensor) -> Iterator[torch.Tensor]:
    if type(tensor) in _PLAIN:
        yield tensor
    elif hasattr(tensor, "__tensor_flatten__"):
        names, _context = tensor.__tensor_flatten__()
        for name in names:
            yield from _plain(getattr(tensor, name))
