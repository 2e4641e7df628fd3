"""The function through which `torch.autograd.backward` and `torch.autograd.grad` start the autograd engine."""

from collections.abc import Callable
from typing import Any

import torch


def backward_function() -> tuple[Any, str, Callable[..., Any]]:
    """Return the module that calls the function, its name there, and the function."""
    return torch.autograd, "_engine_run_backward", torch.autograd._engine_run_backward  # type: ignore[attr-defined]


def is_without_queue(error: RuntimeError) -> bool:
    """Return whether the engine has no queue for a device that was registered after the first backward pass."""
    return "device_ready_queues_" in str(error)
