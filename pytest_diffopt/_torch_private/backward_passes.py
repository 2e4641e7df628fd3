"""The autograd engine: the function that starts it, and the devices on which a backward pass runs."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch


def backward_function() -> tuple[Any, str, Callable[..., Any]]:
    """Return the module that starts the engine, the name of the function there, and the function.

    `torch.autograd.backward` and `torch.autograd.grad` call it with the outputs as the first argument.
    """
    return torch.autograd, "_engine_run_backward", torch.autograd._engine_run_backward  # type: ignore[attr-defined]


def runs_on(outputs: Iterable[Any], device_type: str) -> bool:
    """Return whether a backward pass reaches a tensor of a device.

    Args:
        outputs: the tensors, or edges of the graph, from which it starts.
        device_type: the type of the device.
    """
    outputs = tuple(outputs)
    on_device = any(isinstance(one, torch.Tensor) and one.device.type == device_type for one in outputs)
    return on_device or any(
        metadata.device.type == device_type for node in _nodes_from(outputs) for metadata in node._input_metadata
    )


def _nodes_from(outputs: Iterable[Any]) -> Iterator[Any]:
    """Yield each node of the graph below the outputs once."""
    waiting = [getattr(one, "grad_fn", None) or getattr(one, "node", None) for one in outputs]
    seen = set()
    while waiting:
        node = waiting.pop()
        if node is not None and node not in seen:
            seen.add(node)
            yield node
            waiting += [following for following, _ in node.next_functions]


def is_without_queue(error: RuntimeError) -> bool:
    """Return whether the engine has no queue for a device that was registered after the first backward pass."""
    return "device_ready_queues_" in str(error)
