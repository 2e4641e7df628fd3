"""Tests of the messages for compilations that cannot start."""

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


def test_other_errors_are_not_replaced() -> None:
    """Their own messages suffice."""
    with pytest.raises(ZeroDivisionError), failures_explained():
        1 // 0  # noqa: B018 - it raises
