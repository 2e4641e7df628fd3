"""Methods of simulated tensors that Python carries out by itself, knowing what torch would do: views, copies, sums.

Torch parses the operands of each call, goes down its list of backends and comes back into Python; for what launches
nothing, or adds two numbers, that takes longer than everything else. The same is counted either way. Indexing is not
among them: a class with a `__getitem__` of its own is a sequence to torch, which tensors are not.
"""

from collections.abc import Callable
from typing import Any

import torch

from pytest_diffopt._torch_private import simulated_device as private
from pytest_diffopt.simulated_gpu.backend import decompositions
from pytest_diffopt.simulated_gpu.backend.dispatch import NOT_DONE, Dispatcher
from pytest_diffopt.simulated_gpu.backend.tensor import Metadata, SimulatedTensor, make

_VIEWS = ("detach", "expand", "permute", "transpose", "unsqueeze", "view")
_ARITHMETIC = ("__add__", "__mul__", "__radd__", "__rmul__", "__sub__", "__truediv__")
METHODS = frozenset({*_VIEWS, *_ARITHMETIC, "contiguous", "reshape"})
_NUMBERS = frozenset({int, float})


def _can_take(tensor: SimulatedTensor) -> bool:
    """Tell whether the values are known and nobody else wants to see the operation."""
    allocation = tensor.allocation
    known = tensor.host_data is not None and allocation.has_data
    return known and allocation.ledger.is_open and not private.is_watched()


def _view(tensor: SimulatedTensor, host: torch.Tensor) -> SimulatedTensor:
    allocation = tensor.allocation
    allocation.ledger.cell()  # the module that runs has its row, though it adds nothing
    return make(Metadata.of_tensor(host), allocation, host)


def _viewing(name: str) -> Callable[..., torch.Tensor]:
    original = getattr(torch.Tensor, name)

    def method(self: SimulatedTensor, *args: Any, **kwargs: Any) -> torch.Tensor:
        if _can_take(self):
            return _view(self, original(self.host_data, *args, **kwargs))
        result: torch.Tensor = original(self, *args, **kwargs)
        return result

    return method


def _reshape(self: SimulatedTensor, *shape: Any, **kwargs: Any) -> torch.Tensor:
    if self.host_data is not None and self.host_data.is_contiguous() and _can_take(self):
        return _view(self, self.host_data.reshape(*shape, **kwargs))
    return torch.Tensor.reshape(self, *shape, **kwargs)


def _contiguous(self: SimulatedTensor, *args: Any, **kwargs: Any) -> torch.Tensor:
    if args or kwargs or self.host_data is None or not _can_take(self):
        return torch.Tensor.contiguous(self, *args, **kwargs)
    return self if self.host_data.is_contiguous() else self.executor.take_in(self.host_data.contiguous())


def _computing(name: str) -> Callable[[SimulatedTensor, Any], torch.Tensor]:
    original = getattr(torch.Tensor, name)

    def method(self: SimulatedTensor, other: Any) -> torch.Tensor:
        kind = type(other)
        if kind in _NUMBERS:
            if _can_take(self):
                return self.executor.take_in(original(self.host_data, other))
        elif kind is SimulatedTensor and _can_take(self) and _can_take(other):
            return self.executor.take_in(original(self.host_data, other.host_data))
        result: torch.Tensor = original(self, other)
        return result

    return method


def linear(dispatcher: Dispatcher) -> Callable[..., torch.Tensor]:
    """Return what stands for `functional.linear` while a GPU is simulated; layers ask for nothing more often."""

    def call(*args: Any, **kwargs: Any) -> torch.Tensor:
        is_ours = not kwargs and type(args[0]) is SimulatedTensor
        if is_ours and not (private.is_watched() or private.is_autocast_on()):
            done = decompositions.linear_at_once(dispatcher, *args)
            if done is not NOT_DONE:
                return done  # type: ignore[no-any-return]
        return private.LINEAR(*args, **kwargs)

    return call


def register() -> None:
    """Give simulated tensors these methods."""
    methods = {name: _viewing(name) for name in _VIEWS} | {name: _computing(name) for name in _ARITHMETIC}
    methods |= {"contiguous": _contiguous, "reshape": _reshape}
    for name, method in methods.items():
        setattr(SimulatedTensor, name, method)
