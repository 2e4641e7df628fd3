"""The dispatcher's state: active modes, gradients and autocast."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch.utils._python_dispatch import _disable_current_modes

from pytest_diffopt._torch_private.spare_backend import DEVICE_TYPE

_num_dispatch_modes: Callable[[], int] = torch._C._len_torch_dispatch_stack
_num_function_modes: Callable[[], int] = torch._C._len_torch_function_stack


def has_active_modes() -> bool:
    """Return whether a dispatch mode or function mode is active."""
    return bool(_num_dispatch_modes() or _num_function_modes())


def needs_full_dispatch() -> bool:
    """Return whether each operation must pass through the dispatcher: gradients are enabled or a mode is active."""
    return torch.is_grad_enabled() or has_active_modes()


def without_modes() -> AbstractContextManager[object]:
    """Return a context in which no dispatch mode is active."""
    context: AbstractContextManager[object] = _disable_current_modes()
    return context


def is_autocast_on() -> bool:
    """Return whether autocast is enabled on the simulated GPU."""
    return torch.is_autocast_enabled(DEVICE_TYPE)


def autocast_dtype() -> torch.dtype:
    """Return autocast's lower-precision dtype on the simulated GPU."""
    return torch.get_autocast_dtype(DEVICE_TYPE)


def without_autocast() -> AbstractContextManager[object]:
    """Return a context in which operations run in the dtypes of their operands."""
    keys: Any = torch._C.DispatchKey
    context: AbstractContextManager[object] = torch._C._ExcludeDispatchKeyGuard(
        torch._C.DispatchKeySet(keys.AutocastPrivateUse1)
    )
    return context
