"""Actionable messages for compilations that cannot start."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from pytest_diffopt._torch_private.compile_errors import BackendError, InvalidBackendError
from pytest_diffopt._torch_private.compiled_code import compile_switched_off
from pytest_diffopt.errors import ProbeError, did_you_mean

_REFUSED_LAYOUT = "Expected X.is_contiguous(memory_format) to be true, but got false"
_NOT_WRITABLE = frozenset({errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT})


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
        ProbeError: the backend is unknown or refuses a layout, no compiler was found, or Inductor cannot write to its
            cache.
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
    if isinstance(error, RuntimeError) and _REFUSED_LAYOUT in str(error):
        return ProbeError(
            f'with backend="aot_eager" torch {torch.__version__} cannot run a group norm of a transposed batch of 1\n'
            '  compile with backend="aot_eager_decomp_partition", which decomposes it as Inductor does'
        )
    return _explained_backend(error) if isinstance(error, BackendError) else None


def _explained_backend(error: BaseException) -> ProbeError | None:
    cause = _innermost(error)
    if "InvalidCxxCompiler" in f"{type(cause).__name__} {error}":
        return ProbeError(
            "Inductor needs a C++ compiler to compile for the CPU, but found none that works\n"
            "  install one (Debian and Ubuntu: apt install g++; Fedora: dnf install gcc-c++; conda: gxx), "
            'set CXX to yours, or compile with backend="aot_eager_decomp_partition" here'
        )
    if "Failed to find C compiler" in str(cause):
        return ProbeError(
            "Triton needs a C compiler to launch its kernels, but found none\n"
            "  install one (Debian and Ubuntu: apt install gcc; Fedora: dnf install gcc; conda: gcc) or set CC to yours"
        )
    if isinstance(cause, OSError) and cause.errno in _NOT_WRITABLE:
        return ProbeError(
            f"Inductor cannot write to its cache: {cause.filename}: {cause.strerror}\n"
            "  make the folder writable, or set TORCHINDUCTOR_CACHE_DIR to one that is"
        )
    return None


def _innermost(error: BaseException) -> BaseException:
    """Return the exception that a backend's error wraps, below all of torch's wrappers."""
    inner = getattr(error, "inner_exception", None)
    return error if inner is None else _innermost(inner)
