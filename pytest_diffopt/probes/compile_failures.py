"""What torch raises when a compilation cannot even begin, in words that say what to do."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from pytest_diffopt._torch_private.compile_errors import BackendError, InvalidBackendError
from pytest_diffopt._torch_private.compiled_code import compile_switched_off
from pytest_diffopt.errors import ProbeError, did_you_mean


def refuse_when_switched_off() -> None:
    """Refuse to watch compilation in a process that compiles nothing.

    Raises:
        ProbeError: with what switches it off.
    """
    reason = compile_switched_off()
    if reason:
        msg = f"torch.compile is switched off: {reason}; nothing would be checked\n  take it out of the environment"
        raise ProbeError(msg)


@contextmanager
def failures_explained() -> Iterator[None]:
    """Say what to do about a compilation that cannot begin; whatever else is raised passes as it is.

    Raises:
        ProbeError: the backend is unknown, or it lacks a compiler.
    """
    try:
        yield
    except Exception as error:
        words = explained(error)
        if words is None:
            raise
        raise words from None


def explained(error: BaseException) -> ProbeError | None:
    """Return what a person can do about an error of torch; None where the error says so itself."""
    if isinstance(error, InvalidBackendError):
        known = torch.compiler.list_backends(exclude_tags=())
        name = str(error).partition("'")[2].partition("'")[0]
        return ProbeError(
            f"unknown backend of torch.compile: {name!r}{did_you_mean(name, known)}; known: {', '.join(known)}"
        )
    if isinstance(error, BackendError) and _lacks_compiler(error):
        return ProbeError(
            "Inductor needs a C++ compiler to compile for the CPU, and finds none that works\n"
            "  install one (Debian and Ubuntu: apt install g++; Fedora: dnf install gcc-c++; conda: gxx), "
            'name yours in CXX, or compile with backend="aot_eager_decomp_partition" here'
        )
    return None


def _lacks_compiler(error: BaseException) -> bool:
    return "InvalidCxxCompiler" in f"{type(getattr(error, 'inner_exception', None)).__name__} {error}"
