"""Python kernels for aten operations on the spare backend, registered until the process ends."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch._ops import OpOverload

_library: Any = torch.library.Library
_libraries: list[Any] = []  # a kernel stays registered only while its library exists


def register_kernels(kernels: Mapping[str, Callable[..., Any]], key: str) -> None:
    """Register Python functions as kernels of aten operations.

    Args:
        kernels: the functions by the name that `kernel_name` returns.
        key: the dispatch key, such as `PrivateUse1`.
    """
    library = _library("aten", "IMPL")
    for name, kernel in kernels.items():
        library.impl(name, kernel, key)
    _libraries.append(library)


def register_autocast_fallthrough() -> None:
    """Let an operation without an autocast kernel run in the dtypes of its operands."""
    library = _library("_", "IMPL")
    library.fallback(torch.library.fallthrough_kernel, "AutocastPrivateUse1")
    _libraries.append(library)


def kernel_name(overload: OpOverload) -> str:
    """Return the name under which torch registers kernels of an overload: `arange.start`, `group_norm`."""
    return str(overload).split(".", 1)[1].removesuffix(".default")
