"""Fast paths: methods of simulated tensors that run in Python, without torch's dispatcher.

For views and elementwise arithmetic, parsing the operands and dispatching back into Python takes longer than the
operation itself. The counts are the same on both paths. Indexing has no fast path: torch treats a class that defines
`__getitem__` as a sequence.
"""

from collections.abc import Callable
from typing import Any

import torch

from pytest_diffopt._torch_private.dispatch_state import is_autocast_on, needs_full_dispatch
from pytest_diffopt._torch_private.overloads import LINEAR
from pytest_diffopt.simulated_gpu.backend import decompositions
from pytest_diffopt.simulated_gpu.backend.dispatch import NOT_HANDLED, Dispatcher
from pytest_diffopt.simulated_gpu.backend.tensor import Metadata, SimulatedTensor, make

_VIEWS = ("detach", "expand", "permute", "transpose", "unsqueeze", "view")
_ARITHMETIC = ("__add__", "__mul__", "__radd__", "__rmul__", "__sub__", "__truediv__")
METHODS = frozenset({*_VIEWS, *_ARITHMETIC, "contiguous", "reshape"})
_NUMBERS = frozenset({int, float})


def _can_take(tensor: SimulatedTensor) -> bool:
    """Return whether the values are known and no mode or gradient needs the operation."""
    allocation = tensor.allocation
    known = tensor.host_data is not None and allocation.has_data
    return known and allocation.ledger.is_open and not needs_full_dispatch()


def _view(tensor: SimulatedTensor, host: torch.Tensor) -> SimulatedTensor:
    allocation = tensor.allocation
    allocation.ledger.cell()  # creates the row of the running module, as the dispatcher does
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
    return self if self.host_data.is_contiguous() else self.executor.wrap_result(self.host_data.contiguous())


def _computing(name: str) -> Callable[[SimulatedTensor, Any], torch.Tensor]:
    original = getattr(torch.Tensor, name)

    def method(self: SimulatedTensor, other: Any) -> torch.Tensor:
        kind = type(other)
        if kind in _NUMBERS:
            if _can_take(self):
                return self.executor.wrap_result(original(self.host_data, other))
        elif kind is SimulatedTensor and _can_take(self) and _can_take(other):
            return self.executor.wrap_result(original(self.host_data, other.host_data))
        result: torch.Tensor = original(self, other)
        return result

    return method


def linear(dispatcher: Dispatcher) -> Callable[..., torch.Tensor]:
    """Return the replacement of `functional.linear`, the most frequent call of layers."""

    def call(*args: Any, **kwargs: Any) -> torch.Tensor:
        is_simulated = not kwargs and type(args[0]) is SimulatedTensor
        if is_simulated and not (needs_full_dispatch() or is_autocast_on()):
            done = decompositions.linear_on_host(dispatcher, *args)
            if done is not NOT_HANDLED:
                return done  # type: ignore[no-any-return]
        return LINEAR(*args, **kwargs)

    return call


def register() -> None:
    """Add the methods to `SimulatedTensor`."""
    methods = {name: _viewing(name) for name in _VIEWS} | {name: _computing(name) for name in _ARITHMETIC}
    methods |= {"contiguous": _contiguous, "reshape": _reshape}
    for name, method in methods.items():
        setattr(SimulatedTensor, name, method)
