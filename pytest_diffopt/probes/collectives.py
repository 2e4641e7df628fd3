"""Collectives: the operations by which the processes of a group exchange tensors."""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import torch
from torch.utils._pytree import tree_leaves

from pytest_diffopt._torch_private.overloads import schema_arguments

_NAMESPACES = frozenset({"c10d", "_c10d_functional", "_c10d_functional_autograd"})
# They wait for a result, mark one, or move no values.
_OTHERS = frozenset({"wait_tensor", "_wrap_tensor_autograd", "check_for_nan", "barrier", "monitored_barrier_"})
_INPUTS = ("input", "inputs", "input_tensor", "input_tensors", "input_list", "tensor", "tensors")


@cache
def is_collective(func: Any) -> bool:
    """Return whether an operation exchanges tensors between processes."""
    namespace, _, name = func.name().partition("::")
    return namespace in _NAMESPACES and name.partition(".")[0] not in _OTHERS


def bytes_passed(func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> int:
    """Return the bytes of the tensors that this process passes to a collective.

    How many of them leave the process depends on the algorithm of the library that runs it.
    """
    place, name = _input_argument(func)
    given = args[place] if place < len(args) else kwargs.get(name)
    tensors = [one for one in tree_leaves(given) if isinstance(one, torch.Tensor)]
    return sum(one.numel() * one.dtype.itemsize for one in tensors)


@cache
def _input_argument(func: Any) -> tuple[int, str]:
    """Return the place and the name of the argument that has the inputs; results that torch fills come before it."""
    names = [one.name for one in schema_arguments(func)]
    name = next((name for name in names if name in _INPUTS), names[0])
    return names.index(name), name
