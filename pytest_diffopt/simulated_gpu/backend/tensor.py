"""The simulated GPU's tensor: metadata, an allocation, and the values where they are kept."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, NoReturn, Protocol

import torch
from torch import nn

from pytest_diffopt._torch_private.spare_backend import simulated_device
from pytest_diffopt._torch_private.tensor_wrappers import (
    NO_TORCH_FUNCTION,
    make_wrapper,
    mark_as_parameter,
    set_wrapper_metadata,
    swap_tensors,
)
from pytest_diffopt._torch_private.version_gate import torch_release
from pytest_diffopt.errors import SimulationError
from pytest_diffopt.simulated_gpu.cost.memory import Allocation

_LARGEST_MASK = 2**24
_NUMBERS_MADE_ON_THE_DEVICE = (2, 15)


class Metadata:
    """Shape, stride, offset and dtype of a tensor. Instances are interned: equal metadata are one object."""

    __slots__ = ("dtype", "is_droppable", "nbytes", "numel", "offset", "shape", "stride")
    _known: ClassVar[dict[tuple[Any, ...], "Metadata"]] = {}

    def __init__(self, shape: torch.Size, stride: tuple[int, ...], offset: int, dtype: torch.dtype) -> None:
        self.shape = shape
        self.stride = stride
        self.offset = offset
        self.dtype = dtype
        self.numel = shape.numel()
        reach = offset + 1 + sum((size - 1) * step for size, step in zip(shape, stride, strict=True))
        self.nbytes = reach * dtype.itemsize if self.numel else 0
        # Integers and masks decide a program's control flow, so their values are kept up to a size that no such tensor
        # has: an attention mask of all pairs of a video's tokens would take gigabytes.
        self.is_droppable = dtype.is_floating_point or dtype.is_complex or self.numel > _LARGEST_MASK

    @classmethod
    def of(cls, shape: Sequence[int], stride: Sequence[int], offset: int, dtype: torch.dtype) -> "Metadata":
        """Return the interned metadata."""
        key = (tuple(shape), tuple(stride), offset, dtype)
        found = cls._known.get(key)
        if found is None:
            # Atomic, so that concurrent threads get the same object.
            found = cls._known.setdefault(key, cls(torch.Size(shape), tuple(stride), offset, dtype))
        return found

    @classmethod
    def of_tensor(cls, tensor: torch.Tensor) -> "Metadata":
        """Return the interned metadata of a tensor."""
        key: Any = (tensor.shape, tensor.stride(), tensor.storage_offset(), tensor.dtype)
        return cls._known.get(key) or cls.of(*key)


class Executor(Protocol):
    """Runs the operations of simulated tensors."""

    def run(self, operation: Any, args: Sequence[Any], kwargs: Mapping[str, Any], /) -> Any:
        """Run one operation."""

    def wrap_result(self, host: torch.Tensor, /) -> "SimulatedTensor":
        """Count one operation that the CPU has computed, and wrap its result."""

    def read_all(self, tensor: "SimulatedTensor", operation: str, /) -> torch.Tensor:
        """Copy all values of a tensor to the host."""

    def print_placeholder(self, tensor: "SimulatedTensor", show: Callable[[torch.Tensor], object], /) -> None:
        """Count what printing a tensor without values costs."""


class _NoSimulation:
    """The executor outside every block: each operation raises."""

    def run(self, operation: Any, _args: Sequence[Any], _kwargs: Mapping[str, Any]) -> NoReturn:
        message = (
            f"{operation} was called on a tensor of a simulated GPU whose block has ended; use it inside the block"
        )
        raise SimulationError(message)

    def wrap_result(self, _host: torch.Tensor) -> NoReturn:
        self.run("arithmetic", (), {})

    def read_all(self, _tensor: "SimulatedTensor", operation: str) -> NoReturn:
        self.run(operation, (), {})

    def print_placeholder(self, _tensor: "SimulatedTensor", _show: Callable[[torch.Tensor], object]) -> NoReturn:
        self.run("Tensor.__repr__", (), {})


NO_SIMULATION = _NoSimulation()


class SimulatedTensor(torch.Tensor):
    """A tensor on the simulated GPU; every operation on it runs through `executor`.

    Attributes:
        metadata: its shape, stride, offset and dtype.
        allocation: its memory, shared with its views.
        host_data: a CPU tensor with its values; None when only the shape is known. Stale when `has_data` is False.
    """

    executor: ClassVar[Executor] = NO_SIMULATION
    metadata: Metadata
    allocation: Allocation
    host_data: torch.Tensor | None

    __torch_function__ = NO_TORCH_FUNCTION

    def __new__(cls, data: torch.Tensor, requires_grad: bool = True) -> Any:  # noqa: FBT001, FBT002 - as nn.Parameter
        """Make a parameter, as `type(parameter)(data)` does where a parameter on a GPU is an `nn.Parameter`."""
        return nn.Parameter(data, requires_grad=requires_grad)

    def __init__(self, *_: Any, **__: Any) -> None:
        """Do nothing: `__new__` has made the parameter."""

    @classmethod
    def __torch_dispatch__(  # type: ignore[override] # torch's stub forgets that it is a class method
        cls, func: Any, types: Sequence[type], args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        if len(types) > 1 and any(not issubclass(one, SimulatedTensor) for one in types):
            return NotImplemented  # another subclass wraps simulated tensors and must unwrap itself first
        return cls.executor.run(func, args, kwargs or {})

    @property
    def has_data(self) -> bool:
        """Whether the values are known."""
        return self.host_data is not None and self.allocation.has_data

    @property
    def data(self) -> torch.Tensor:
        """The same tensor, detached from autograd."""
        return self.detach()

    @data.setter
    def data(self, other: torch.Tensor) -> None:
        if isinstance(other, SimulatedTensor):
            become(self, other)
        else:
            self._leave_device(other)

    def _leave_device(self, host: torch.Tensor) -> None:
        """Become a tensor on the host, as `parameter.data = host` does on a GPU; the device's memory is released."""
        if getattr(self, "_is_param", False):
            replacement: torch.Tensor = nn.Parameter(host.detach(), requires_grad=self.requires_grad)
        else:
            replacement = host.detach()
        swap_tensors(self, replacement)

    def record_stream(self, _stream: Any) -> None:
        """Do nothing: the memory of a simulated GPU is released at once, since its work takes no time."""

    def tolist(self) -> Any:
        """Return the values as Python numbers; one copy to the host."""
        return self.executor.read_all(self, "Tensor.tolist").tolist()

    def __format__(self, spec: str) -> str:
        return format(self.item(), spec) if self.dim() == 0 else object.__format__(self, spec)

    def __repr__(self, *, tensor_contents: Any = None) -> str:  # type: ignore[override]
        show: Any = torch.Tensor.__repr__
        if self.has_data:
            return str(show(self, tensor_contents=tensor_contents))
        self.executor.print_placeholder(self, show)  # torch reads about a hundred values of a large tensor, one by one
        return f"tensor(<no values kept>, device='{self.device}', size={tuple(self.shape)}, dtype={self.dtype})"

    def __deepcopy__(self, memo: dict[int, Any]) -> "SimulatedTensor":
        if id(self) in memo:
            found: SimulatedTensor = memo[id(self)]
            return found
        copy: SimulatedTensor = self.detach().clone()  # type: ignore[assignment] # of our own class
        if getattr(self, "_is_param", False):
            mark_as_parameter(copy)
        memo[id(self)] = copy.requires_grad_(self.requires_grad)
        return copy

    def __setitem__(self, index: Any, value: Any) -> None:
        # Before 2.15 torch makes a tensor of a number on the CPU for CUDA, and on the device for every other device.
        if isinstance(value, bool | int | float | complex) and torch_release() < _NUMBERS_MADE_ON_THE_DEVICE:
            value = torch.tensor(value, dtype=self.dtype)
        torch.Tensor.__setitem__(self, index, value)

    def numpy(self, **_: Any) -> NoReturn:
        """Raise: the tensor is not on the host.

        Raises:
            TypeError: always.
        """
        message = (
            f"can't convert {self.device} device type tensor to numpy. Use Tensor.cpu() to copy the tensor to host "
            f"memory first."
        )
        raise TypeError(message)

    def __array__(self, dtype: Any = None, **_: Any) -> NoReturn:
        self.numpy()

    def __dlpack__(self, **_: Any) -> NoReturn:
        message = "a tensor on a simulated GPU has no memory to share through DLPack"
        raise SimulationError(message)


def make(metadata: Metadata, allocation: Allocation, host_data: torch.Tensor | None) -> SimulatedTensor:
    """Make a tensor on the simulated GPU."""
    shape, stride, offset, dtype = metadata.shape, metadata.stride, metadata.offset, metadata.dtype
    wrapper: SimulatedTensor = make_wrapper(
        SimulatedTensor, shape, stride, offset, None, dtype, torch.strided, simulated_device()
    )
    wrapper.metadata = metadata
    wrapper.allocation = allocation
    wrapper.host_data = host_data
    return wrapper


def become(tensor: SimulatedTensor, other: SimulatedTensor) -> None:
    """Give a tensor the metadata, memory and values of another, as `tensor.data = other` does."""
    set_wrapper_metadata(tensor, other)
    tensor.metadata = other.metadata
    tensor.allocation = other.allocation
    tensor.host_data = other.host_data
