"""What an operation reads, writes and draws, from its arguments."""

from collections.abc import Iterator
from typing import Any

import torch

from pytest_diffopt.null_gpu.values.host_calls import RandomState, leaves
from pytest_diffopt.null_gpu.values.operations import Plan


def cuda_tensors(args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[torch.Tensor, ...]:
    """Return the CUDA tensors among arguments, also those in lists."""
    found: list[torch.Tensor] = []
    for value in (*args, *kwargs.values()) if kwargs else args:
        if isinstance(value, torch.Tensor):
            if value.is_cuda:
                found.append(value)
        elif isinstance(value, (list, tuple)):
            found += cuda_tensors(tuple(value), {})
    return tuple(found)


def read_tensors(plan: Plan, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[torch.Tensor, ...]:
    """Return the CUDA tensors that an operation reads which overwrites its target."""
    positional = args[1:] if 0 in plan.written else args
    return cuda_tensors(positional, {name: value for name, value in kwargs.items() if name not in plan.written_names})


def makes_cuda_tensors(kwargs: dict[str, Any]) -> bool:
    """Whether an operation creates tensors on the GPU."""
    device = kwargs.get("device")
    return device is not None and torch.device(device).type == "cuda"


def target_device(source: torch.Tensor, kwargs: dict[str, Any]) -> str:
    """Return the type of the device that a tensor is copied to."""
    device = kwargs.get("device")
    return source.device.type if device is None else torch.device(device).type


def written_tensors(plan: Plan, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Iterator[torch.Tensor]:
    """Yield the CUDA tensors that an operation writes to."""
    values = [value for index, value in enumerate(args) if index in plan.written]
    values += [value for name, value in kwargs.items() if name in plan.written_names]
    yield from (leaf for leaf in leaves(values) if isinstance(leaf, torch.Tensor) and leaf.is_cuda)


def random_state(args: tuple[Any, ...], kwargs: dict[str, Any]) -> RandomState:
    """Return the state that an operation draws random numbers from."""
    given = (leaf for leaf in leaves((*args, *kwargs.values())) if isinstance(leaf, torch.Generator))
    generator = next(given, None) or torch.cuda.default_generators[torch.cuda.current_device()]
    if torch.cuda.is_current_stream_capturing():
        return RandomState(seed=generator.initial_seed(), offset=0)  # a graph knows its offset at each replay only
    return RandomState(seed=generator.initial_seed(), offset=generator.get_offset())
