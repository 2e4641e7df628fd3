"""Counts the operations that torch dispatches to a GPU."""

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack
from typing import Any, Self

import torch

from pytest_diffopt._torch_private.replacing import replaced
from pytest_diffopt.null_gpu.values.dispatch_key import observing
from pytest_diffopt.null_gpu.values.torch_internals import is_plain

_COPIES = {torch.ops.aten.copy_, torch.ops.aten._foreach_copy_}


class DispatchedOperations(AbstractContextManager["DispatchedOperations"]):
    """Counts what the calling thread dispatches to a GPU, and its replays of CUDA graphs; Inductor dispatches none.

    They are seen under a dispatch key that torch does not use. Under a dispatch mode torch takes other branches:
    `cross_entropy` with weights and smoothed labels synchronizes less, `linalg.eigvals` more.

    Attributes:
        operations: operations that made or changed a tensor on a GPU by others there, or by none; a replay is one.
        copies: copies over the bus that made a tensor on a GPU.
    """

    def __init__(self) -> None:
        self.operations = self.copies = 0
        self._resources = ExitStack()

    def __enter__(self) -> Self:
        self._resources.enter_context(observing(self._note))
        self._resources.enter_context(replaced(torch.cuda.CUDAGraph, "replay", self._noting))
        return self

    def __exit__(self, *exception: object) -> None:
        self._resources.close()

    def _note(self, operation: Any, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any) -> None:
        given = list(_tensors((*args, *kwargs.values())))
        changed = given if result is None else _tensors((result,))  # `_foreach_copy_` returns nothing
        if any(tensor.is_cuda and is_plain(tensor) for tensor in changed):
            is_copy = _is_copy(operation, given)
            self.copies += is_copy
            self.operations += not is_copy

    def _noting(self, replay: Callable[[Any], None]) -> Callable[[Any], None]:
        thread = threading.get_ident()

        def noted(graph: Any) -> None:
            replay(graph)
            self.operations += threading.get_ident() == thread

        return noted


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
