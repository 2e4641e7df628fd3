"""An operation's computation on the CPU, on the memory of its CUDA tensors."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch

from pytest_diffopt.null_gpu.values.torch_internals import host_view, is_plain

_CPU = torch.device("cpu")
_GOLDEN_RATIO_64 = 0x9E3779B97F4A7C15
_SEED_MASK = 2**63 - 1


@dataclass(frozen=True, kw_only=True, slots=True)
class RandomState:
    """Where a CUDA generator was when an operation drew from it."""

    seed: int
    offset: int

    @property
    def host_seed(self) -> int:
        """A seed for a CPU generator: the same state gives the same numbers."""
        return (self.seed * _GOLDEN_RATIO_64 + self.offset) & _SEED_MASK


@dataclass(frozen=True, kw_only=True, slots=True)
class HostCall:
    """A computation that can be run, and run again when a CUDA graph is replayed.

    Attributes:
        function: what computes.
        args: its arguments, on the CPU.
        kwargs: its keyword arguments, on the CPU.
        outputs: host views of the memory that the results go to.
        random: the state that random numbers are drawn from, if the operation draws any.
        takes_generator: whether the function has a parameter `generator`.
    """

    function: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    outputs: tuple[torch.Tensor | None, ...] = ()
    random: RandomState | None = None
    takes_generator: bool = False

    def compute(self) -> Any:
        """Return the result on the CPU."""
        if self.random is None:
            return self.function(*self.args, **self.kwargs)
        if self.takes_generator:
            generator = torch.Generator().manual_seed(self.random.host_seed)
            return self.function(*self.args, **(self.kwargs | {"generator": generator}))
        return self._compute_with_default_generator(self.random)

    def _compute_with_default_generator(self, random: RandomState) -> Any:
        state = torch.default_generator.get_state()
        torch.default_generator.manual_seed(random.host_seed)
        try:
            return self.function(*self.args, **self.kwargs)
        finally:
            torch.default_generator.set_state(state)

    def run(self) -> None:
        """Compute, and write the results to the outputs."""
        store(self.compute(), self.outputs)


def store(result: Any, outputs: tuple[torch.Tensor | None, ...]) -> None:
    """Write the tensors of a result to the outputs of the same places and shapes."""
    for output, computed in zip(outputs, leaves(result), strict=False):
        if output is not None and isinstance(computed, torch.Tensor) and output.shape == computed.shape:
            output.copy_(computed)


def leaves(value: Any) -> Iterator[Any]:
    """Yield what a value holds, through lists and tuples."""
    if isinstance(value, (list, tuple)):
        for item in value:
            yield from leaves(item)
    else:
        yield value


def on_host(value: Any) -> Any:
    """Return an argument with its CUDA tensors as host views and its CUDA devices as the CPU."""
    if isinstance(value, torch.Tensor):
        return _tensor_on_host(value) if value.is_cuda else value
    if isinstance(value, (list, tuple)):
        return type(value)(on_host(item) for item in value)
    if isinstance(value, torch.device):
        return _CPU
    if isinstance(value, torch.Generator) and value.device.type == "cuda":
        return None
    return value


def _tensor_on_host(tensor: torch.Tensor) -> torch.Tensor:
    """Return a host view; of a wrapper, as of a quantized weight, a wrapper of host views."""
    if is_plain(tensor):
        return host_view(tensor)
    wrapper: Any = tensor
    names, context = wrapper.__tensor_flatten__()
    inner = {name: on_host(getattr(wrapper, name)) for name in names}
    rebuilt: torch.Tensor = type(wrapper).__tensor_unflatten__(inner, context, tensor.shape, tensor.stride())
    return rebuilt


def host_kwargs(kwargs: dict[str, Any]) -> dict[str, Any]:
    """Return keyword arguments for the CPU."""
    return {name: on_host(value) for name, value in kwargs.items() if name != "pin_memory"}


def first_shapes(computed: Any, outputs: tuple[torch.Tensor | None, ...]) -> tuple[torch.Size, torch.Size] | None:
    """Return the shapes of the first computed tensor and of the output that it goes to; None without outputs."""
    pairs = zip(leaves(computed), outputs, strict=False)
    return next(((leaf.shape, output.shape) for leaf, output in pairs if output is not None), None)


def new_host_views(result: Any, makes: frozenset[int]) -> tuple[torch.Tensor | None, ...]:
    """Return the host views of an operation's new tensors, in order; None for those that it wrote to and all else.

    Args:
        result: what the operation returned.
        makes: the positions of the results that are new.
    """
    if not makes:
        return ()
    parts = result if isinstance(result, tuple) else (result,)
    return tuple(view if index in makes else None for index, part in enumerate(parts) for view in host_views(part))


def host_views(result: Any) -> tuple[torch.Tensor | None, ...]:
    """Return the host views of a result's CUDA tensors, in order; None for anything else."""
    return tuple(
        host_view(leaf) if isinstance(leaf, torch.Tensor) and leaf.is_cuda else None for leaf in leaves(result)
    )
