"""Counts the operations that torch dispatches to a GPU."""

from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

_COPIES = {torch.ops.aten.copy_, torch.ops.aten._foreach_copy_}


class DispatchedOperations(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts what the calling thread dispatches to a GPU; Inductor's kernels are not dispatched.

    Attributes:
        operations: operations that made or changed a tensor on a GPU by others there, or by none.
        copies: copies over the bus that made a tensor on a GPU.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.operations = self.copies = 0

    @classmethod
    def ignore_compile_internals(cls) -> bool:
        """Let Dynamo compile inside the block, and run what is compiled."""
        return True

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Run an operation, and count it."""
        result = func(*args, **(kwargs or {}))
        given = list(_tensors((*args, *(kwargs or {}).values())))
        changed = given if result is None else _tensors((result,))  # `_foreach_copy_` returns nothing
        if any(tensor.is_cuda for tensor in changed):
            is_copy = _is_copy(func, given)
            self.copies += is_copy
            self.operations += not is_copy
        return result


def allocations_so_far() -> int:
    """Return how often this process has allocated memory of the current GPU until now."""
    return int(torch.cuda.memory_stats().get("allocation.all.allocated", 0))


def _is_copy(func: Any, given: list[torch.Tensor]) -> bool:
    """Return whether an operation, whose result is on a GPU, copies it from the host."""
    is_from_host = bool(given) and not any(tensor.is_cuda for tensor in given)
    is_into_gpu = func.overloadpacket in _COPIES and not all(tensor.is_cuda for tensor in given)
    return is_from_host or is_into_gpu


def _tensors(values: Iterable[Any]) -> Iterator[torch.Tensor]:
    for value in values:
        if isinstance(value, torch.Tensor):
            yield value
        elif isinstance(value, list | tuple):
            yield from _tensors(value)
