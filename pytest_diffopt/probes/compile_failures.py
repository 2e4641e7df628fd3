"""Actionable messages for compilations that cannot start."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from pytest_diffopt._torch_private.compile_errors import BackendError, InvalidBackendError
from pytest_diffopt._torch_private.compiled_code import compile_switched_off
from pytest_diffopt.errors import ProbeError, did_you_mean


def refuse_when_switched_off() -> None:
    """Refuse to check compilation in a process in which `torch.compile` is disabled.

    Raises:
        ProbeError: `torch.compile` is disabled; the message names the setting.
    """
    reason = compile_switched_off()
    if reason:
        msg = f"torch.compile is disabled: {reason}; nothing would be checked\n  remove this setting"
        raise ProbeError(msg)


@contextmanager
def failures_explained() -> Iterator[None]:
    """Replace errors of a compilation that cannot start by an actionable message; other errors pass unchanged.

    Raises:
        ProbeError: the backend is unknown, or no C++ compiler was found.
    """
    try:
        yield
    except Exception as error:
        explanation = explained(error)
        if explanation is None:
            raise
        raise explanation from None


def explained(error: BaseException) -> ProbeError | None:
    """Return an error with an actionable message; None when torch's own message suffices."""
    if isinstance(error, InvalidBackendError):
        known = torch.compiler.list_backends(exclude_tags=())
        name = str(error).partition("'")[2].partition("'")[0]
        return ProbeError(
            f"unknown torch.compile backend: {name!r}{did_you_mean(name, known)}; known: {', '.join(known)}"
        )
    if isinstance(error, BackendError) and _lacks_compiler(error):
        return ProbeError(
            "Inductor needs a C++ compiler to compile for the CPU, but found none that works\n"
            "  install one (Debian and Ubuntu: apt install g++; Fedora: dnf install gcc-c++; conda: gxx), "
            'set CXX to yours, or compile with backend="aot_eager_decomp_partition" here'
        )
    return None


def _lacks_compiler(error: BaseException) -> bool:
    return "InvalidCxxCompiler" in f"{type(getattr(error, 'inner_exception', None)).__name__} {error}"
