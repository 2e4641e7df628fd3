"""A tensor on the simulated GPU: its shape, its piece of memory, and its values where they are kept."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, NoReturn, Protocol

import torch

from pytest_diffopt._torch_private import simulated_device as private
from pytest_diffopt.errors import SimulationError
from pytest_diffopt.simulated_gpu.cost.accounting import Allocation


class Metadata:
    """Shape, stride, offset and dtype of a tensor; there is one object for equal ones, so identity means equality."""

    __slots__ = ("can_lose_data", "dtype", "nbytes", "numel", "offset", "shape", "stride")
    _known: ClassVar[dict[tuple[Any, ...], "Metadata"]] = {}

    def __init__(self, shape: torch.Size, stride: tuple[int, ...], offset: int, dtype: torch.dtype) -> None:
        self.shape = shape
        self.stride = stride
        self.offset = offset
        self.dtype = dtype
        self.numel = shape.numel()
        reach = offset + 1 + sum((size - 1) * step for size, step in zip(shape, stride, strict=True))
        self.nbytes = reach * dtype.itemsize if self.numel else 0
        # Only the shape is kept of what is large; whole numbers and masks steer a program.
        self.can_lose_data = dtype.is_floating_point or dtype.is_complex

    @classmethod
    def of(cls, shape: Sequence[int], stride: Sequence[int], offset: int, dtype: torch.dtype) -> "Metadata":
        """Return the one object that describes such tensors."""
        key = (tuple(shape), tuple(stride), offset, dtype)
        found = cls._known.get(key)
        if found is None:
            # One step, so that threads that ask at once get the same object.
            found = cls._known.setdefault(key, cls(torch.Size(shape), tuple(stride), offset, dtype))
        return found

    @classmethod
    def of_tensor(cls, tensor: torch.Tensor) -> "Metadata":
        """Return the one object that describes tensors like this."""
        key: Any = (tensor.shape, tensor.stride(), tensor.storage_offset(), tensor.dtype)
        return cls._known.get(key) or cls.of(*key)


class Executor(Protocol):
    """What carries the operations of simulated tensors out."""

    def run(self, operation: Any, args: Sequence[Any], kwargs: Mapping[str, Any], /) -> Any:
        """Carry one operation out."""

    def take_in(self, host: torch.Tensor, /) -> "SimulatedTensor":
        """Count one operation, which the CPU has carried out, and make its result."""

    def read_all(self, tensor: "SimulatedTensor", operation: str, /) -> torch.Tensor:
        """Hand all values of a tensor to the host."""

    def print_made_up(self, tensor: "SimulatedTensor", show: Callable[[torch.Tensor], object], /) -> None:
        """Do what printing a tensor does although its values are not known."""


class _NoSimulation:
    """Stands in for the executor outside every block."""

    def run(self, operation: Any, _args: Sequence[Any], _kwargs: Mapping[str, Any]) -> NoReturn:
        message = (
            f"{operation} was called on a tensor of a simulated GPU whose block has ended; use it inside the block"
        )
        raise SimulationError(message)

    def take_in(self, _host: torch.Tensor) -> NoReturn:
        self.run("arithmetic", (), {})

    def read_all(self, _tensor: "SimulatedTensor", operation: str) -> NoReturn:
        self.run(operation, (), {})

    def print_made_up(self, _tensor: "SimulatedTensor", _show: Callable[[torch.Tensor], object]) -> NoReturn:
        self.run("Tensor.__repr__", (), {})


NO_SIMULATION = _NoSimulation()
_make_wrapper = private.make_wrapper


class SimulatedTensor(torch.Tensor):
    """Looks like a tensor on a device of type `simgpu`; every operation on it passes through `executor`.

    Attributes:
        metadata: what describes it.
        allocation: the memory that it looks at, shared with its views.
        host_data: a CPU tensor with its values, None when only the shape is known; `has_data` tells if they still hold.
    """

    executor: ClassVar[Executor] = NO_SIMULATION
    metadata: Metadata
    allocation: Allocation
    host_data: torch.Tensor | None

    __torch_function__ = private.NO_TORCH_FUNCTION

    @classmethod
    def __torch_dispatch__(  # type: ignore[override] # torch's stub forgets that it is a class method
        cls, func: Any, types: Sequence[type], args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        if len(types) > 1 and any(not issubclass(one, SimulatedTensor) for one in types):
            return NotImplemented  # another tensor subclass holds ours inside and must take itself apart first
        return cls.executor.run(func, args, kwargs or {})

    @property
    def has_data(self) -> bool:
        """Whether the values are known."""
        return self.host_data is not None and self.allocation.has_data

    @property
    def data(self) -> torch.Tensor:
        """The same tensor, cut off from autograd."""
        return self.detach()

    @data.setter
    def data(self, other: torch.Tensor) -> None:
        if not isinstance(other, SimulatedTensor):
            message = f"a tensor on {self.device} cannot be given data that lives on {other.device}"
            raise RuntimeError(message)  # noqa: TRY004 - torch raises RuntimeError
        become(self, other)

    def tolist(self) -> Any:
        """Return the values as Python numbers: one copy to the host."""
        return self.executor.read_all(self, "Tensor.tolist").tolist()

    def __format__(self, spec: str) -> str:
        return format(self.item(), spec) if self.dim() == 0 else object.__format__(self, spec)

    def __repr__(self, *, tensor_contents: Any = None) -> str:  # type: ignore[override]
        show: Any = torch.Tensor.__repr__
        if self.has_data:
            return str(show(self, tensor_contents=tensor_contents))
        self.executor.print_made_up(self, show)  # torch reads about a hundred values of a large tensor, one by one
        return f"tensor(<no values kept>, device='{self.device}', size={tuple(self.shape)}, dtype={self.dtype})"

    def __deepcopy__(self, memo: dict[int, Any]) -> "SimulatedTensor":
        if id(self) in memo:
            found: SimulatedTensor = memo[id(self)]
            return found
        copy: SimulatedTensor = self.detach().clone()  # type: ignore[assignment] # of our own class
        if getattr(self, "_is_param", False):
            copy._is_param = True  # how torch marks parameters of other classes
        memo[id(self)] = copy.requires_grad_(self.requires_grad)
        return copy

    def __setitem__(self, index: Any, value: Any) -> None:
        # For CUDA torch builds a number on the CPU, for every other device on the device itself: do as for CUDA.
        if isinstance(value, bool | int | float | complex):
            value = torch.tensor(value, dtype=self.dtype)
        torch.Tensor.__setitem__(self, index, value)

    def numpy(self, **_: Any) -> NoReturn:
        """Refuse, as for every tensor that is not on the host.

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
        message = "a tensor on a simulated GPU has no memory that another library could look at through DLPack"
        raise SimulationError(message)


def make(metadata: Metadata, allocation: Allocation, host_data: torch.Tensor | None) -> SimulatedTensor:
    """Make a tensor on the simulated GPU."""
    shape, stride, offset, dtype = metadata.shape, metadata.stride, metadata.offset, metadata.dtype
    wrapper: SimulatedTensor = _make_wrapper(
        SimulatedTensor, shape, stride, offset, None, dtype, torch.strided, private.device()
    )
    wrapper.metadata = metadata
    wrapper.allocation = allocation
    wrapper.host_data = host_data
    return wrapper


def become(tensor: SimulatedTensor, other: SimulatedTensor) -> None:
    """Make a tensor look at what another looks at: what `tensor.data = other` and changes of shape in place do."""
    private.set_wrapper(tensor, other)
    tensor.metadata = other.metadata
    tensor.allocation = other.allocation
    tensor.host_data = other.host_data
