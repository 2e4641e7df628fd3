"""The operation behind each piece of numbered work (clock.py): its shapes, for a model of its duration."""

from dataclasses import dataclass
from typing import Any

import torch

from pytest_diffopt.null_gpu.counters import library
from pytest_diffopt.null_gpu.values.host_calls import leaves

# They read as much of their first argument as they return, however large it is.
_GATHERING = frozenset({"embedding", "gather", "index", "index_select"})


@dataclass(frozen=True, kw_only=True, slots=True)
class Work:
    """One call of an operation.

    Attributes:
        operation: the overload; None for a kernel of Triton's, of which only the tensors are known.
        pieces: how many pieces of work it enqueued.
        args: its positional arguments, with shapes in place of tensors.
        kwargs: its keywords, likewise.
        result: the shape of its result, or shapes.
        moved_bytes: the bytes of its tensors, each argument read and each result written once.
        dtype: the dtype of its second tensor, which a product multiplies; of its first without a second, and None
            without any.
    """

    operation: Any
    pieces: int
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    result: Any
    moved_bytes: int
    dtype: torch.dtype | None


_work: dict[int, Work] = {}


def work_of(number: int) -> Work:
    """Return the operation whose first piece of work has this number."""
    return _work[number]


def known_work() -> tuple[int, ...]:
    """Return the number of the first piece of each known operation, also of nodes of graphs."""
    return tuple(_work)


def next_number() -> int:
    """Return the number that the next work gets."""
    return int(library().null_gpu_clock_durations())


def remember(number: int, operation: Any, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any) -> None:
    """Remember the operation whose first piece of work has this number; None is a kernel of Triton's."""
    pieces = next_number() - number
    if not pieces:
        return
    given, made = (_tensors(value) for value in ((*args, *kwargs.values()), result))
    _work[number] = Work(
        operation=operation,
        pieces=pieces,
        args=tuple(map(_shape, args)),
        kwargs={name: _shape(value) for name, value in kwargs.items()},
        result=_shape(result),
        moved_bytes=_moved_bytes(operation, given, made),
        dtype=next((one.dtype for one in (*given[1:2], *given, *made)), None),
    )


def _tensors(value: Any) -> list[torch.Tensor]:
    return [leaf for leaf in leaves(value) if isinstance(leaf, torch.Tensor) and leaf.is_cuda]


def _moved_bytes(operation: Any, given: list[torch.Tensor], made: list[torch.Tensor]) -> int:
    written = sum(map(_bytes, made))
    if operation is not None and operation.overloadpacket.__name__ in _GATHERING:
        return 2 * written
    return sum(map(_bytes, given)) + written


def _bytes(tensor: torch.Tensor) -> int:
    """Return a tensor's bytes; an expanded one has less memory than elements."""
    return min(tensor.nbytes, tensor.untyped_storage().nbytes())


def _shape(value: Any) -> Any:
    if isinstance(value, torch.Tensor):
        return value.shape
    return tuple(map(_shape, value)) if isinstance(value, (list, tuple)) else value
