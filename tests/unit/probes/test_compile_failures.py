"""Tests of the messages for compilations that cannot start."""

import errno

import pytest
import torch
from torch._inductor.exc import InvalidCxxCompiler

from pytest_diffopt._torch_private.compile_errors import BackendError
from pytest_diffopt.errors import ProbeError
from pytest_diffopt.probes.compile_failures import failures_explained, refuse_when_switched_off


def test_disabled_compilation_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing would be checked; otherwise there is no error."""
    refuse_when_switched_off()
    monkeypatch.setenv("TORCH_COMPILE_DISABLE", "1")
    with pytest.raises(ProbeError) as caught:
        refuse_when_switched_off()

    assert str(caught.value) == (
        "torch.compile is disabled: TORCH_COMPILE_DISABLE=1 is set; nothing would be checked\n  remove this setting"
    )


def test_an_unknown_backend_suggests_the_closest_one() -> None:
    """All known backends are listed."""
    with pytest.raises(ProbeError) as caught, failures_explained():
        torch.compile(torch.relu, backend="inductr")

    assert str(caught.value).startswith("unknown torch.compile backend: 'inductr' (did you mean 'inductor'?); known: ")


def test_a_missing_compiler_is_reported_with_the_package() -> None:
    """The message names the package for each common system; torch's message names none."""
    error = BackendError("inductor", InvalidCxxCompiler(), None)
    with pytest.raises(ProbeError) as caught, failures_explained():
        raise error

    assert str(caught.value) == (
        "Inductor needs a C++ compiler to compile for the CPU, but found none that works\n"
        "  install one (Debian and Ubuntu: apt install g++; Fedora: dnf install gcc-c++; conda: gxx), "
        'set CXX to yours, or compile with backend="aot_eager_decomp_partition" here'
    )


def test_triton_without_a_c_compiler() -> None:
    """Triton's own message names a variable and no package."""
    cause = RuntimeError("Failed to find C compiler. Please specify via CC environment variable or set triton.knobs")
    error = BackendError("inductor", BackendError("inductor", cause, None), None)
    with pytest.raises(ProbeError) as caught, failures_explained():
        raise error

    assert str(caught.value) == (
        "Triton needs a C compiler to launch its kernels, but found none\n"
        "  install one (Debian and Ubuntu: apt install gcc; Fedora: dnf install gcc; conda: gcc) or set CC to yours"
    )


@pytest.mark.parametrize("number", [errno.EACCES, errno.EROFS, errno.ENOSPC])
def test_a_cache_that_cannot_be_written(number: int) -> None:
    """The message names the folder and the variable for another one."""
    cause = OSError(number, "it cannot be written", "/cache/inductor/ab")
    error = BackendError("inductor", cause, None)
    with pytest.raises(ProbeError) as caught, failures_explained():
        raise error

    assert str(caught.value) == (
        "Inductor cannot write to its cache: /cache/inductor/ab: it cannot be written\n"
        "  make the folder writable, or set TORCHINDUCTOR_CACHE_DIR to one that is"
    )


def test_errors_of_inductor_itself_keep_their_message() -> None:
    """A file that is missing is none of the above."""
    error = BackendError("inductor", FileNotFoundError(errno.ENOENT, "no such file", "/a"), None)
    with pytest.raises(BackendError), failures_explained():
        raise error


def test_other_errors_are_not_replaced() -> None:
    """Their own messages suffice."""
    with pytest.raises(ZeroDivisionError), failures_explained():
        1 // 0  # noqa: B018 - it raises
