"""Internals of `nn.Module`: how a module is moved, called and filled."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

#: The attribute in which `Module.compile` stores the compiled call.
COMPILED_CALL = "_compiled_call_impl"
#: (args, kwargs of `Module.to`) -> (device, dtype, non_blocking, memory_format).
parse_to: Callable[..., tuple[torch.device | None, torch.dtype | None, bool, torch.memory_format | None]]
parse_to = torch._C._nn._parse_to


def apply_method(cls: type[nn.Module]) -> Any:
    """Return the method that moves a module; classes override it to move more than parameters and buffers."""
    return cls._apply


def call_method() -> Callable[..., Any]:
    """Return the method that runs a module that is not compiled."""
    return nn.Module._call_impl


@contextmanager
def registration_hook(hook: Callable[[nn.Module, str, Any], None]) -> Iterator[None]:
    """Call `hook` before any module registers a parameter or a buffer."""
    modules: Any = torch.nn.modules.module
    hooks = modules.register_module_parameter_registration_hook, modules.register_module_buffer_registration_hook
    handles = [register(hook) for register in hooks]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
