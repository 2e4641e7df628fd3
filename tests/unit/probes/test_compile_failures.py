"""What torch raises when a compilation cannot begin says what to do."""

import pytest
import torch
from torch._inductor.exc import InvalidCxxCompiler

from pytest_diffopt._torch_private.compile_errors import BackendError
from pytest_diffopt.errors import ProbeError
from pytest_diffopt.probes.compile_failures import failures_explained, refuse_when_switched_off


def test_a_process_that_compiles_nothing_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing would be checked; any other process is taken."""
    refuse_when_switched_off()
    monkeypatch.setenv("TORCH_COMPILE_DISABLE", "1")
    with pytest.raises(ProbeError) as caught:
        refuse_when_switched_off()

    assert str(caught.value) == (
        "torch.compile is switched off: TORCH_COMPILE_DISABLE=1 is set; nothing would be checked\n"
        "  take it out of the environment"
    )


def test_an_unknown_backend_names_the_nearest() -> None:
    """And all that torch knows."""
    with pytest.raises(ProbeError) as caught, failures_explained():
        torch.compile(torch.relu, backend="inductr")

    assert str(caught.value).startswith(
        "unknown backend of torch.compile: 'inductr' (did you mean 'inductor'?); known: "
    )


def test_a_missing_compiler_is_reported_with_the_package() -> None:
    """Of each usual system; torch's own text has none."""
    error = BackendError("inductor", InvalidCxxCompiler(), None)
    with pytest.raises(ProbeError) as caught, failures_explained():
        raise error

    assert str(caught.value) == (
        "Inductor needs a C++ compiler to compile for the CPU, and finds none that works\n"
        "  install one (Debian and Ubuntu: apt install g++; Fedora: dnf install gcc-c++; conda: gxx), name yours in "
        'CXX, or compile with backend="aot_eager_decomp_partition" here'
    )


def test_any_other_error_passes_as_it_is() -> None:
    """It says itself what is wrong."""
    with pytest.raises(ZeroDivisionError), failures_explained():
        1 // 0  # noqa: B018 - it raises
