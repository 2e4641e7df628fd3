"""A torch whose private names are not known is refused in one sentence."""

import pytest

from pytest_diffopt._torch_private.version_gate import (
    ANY_TORCH_VARIABLE,
    UnsupportedTorchError,
    require_supported,
    torch_release,
)
from pytest_diffopt._version import __version__


@pytest.mark.parametrize("version", ["2.11.0", "2.13.0+cpu", "2.14.1+cu130", "2.15.0", "2.15.2"])
def test_supported_release_is_accepted(version: str) -> None:
    """Patches and local labels do not matter."""
    require_supported(version)


def test_older_torch_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """An older one cannot register a backend from Python; the variable does not help."""
    monkeypatch.setenv(ANY_TORCH_VARIABLE, "1")

    with pytest.raises(UnsupportedTorchError) as caught:
        require_supported("2.10.1")

    assert str(caught.value) == f"pytest-diffopt {__version__} supports torch 2.11 to 2.15, and this is torch 2.10.1"


def test_newer_torch_is_refused_unless_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The sentence names the variable with which a nightly build can be tried."""
    monkeypatch.delenv(ANY_TORCH_VARIABLE, raising=False)

    with pytest.raises(UnsupportedTorchError) as caught:
        require_supported("2.16.0.dev20261101+cu132")

    assert str(caught.value) == (
        f"pytest-diffopt {__version__} supports torch 2.11 to 2.15, and this is torch 2.16.0.dev20261101+cu132; "
        "set DIFFOPT_ANY_TORCH=1 to try it nevertheless"
    )
    monkeypatch.setenv(ANY_TORCH_VARIABLE, "1")
    require_supported("2.16.0.dev20261101+cu132")


def test_installed_torch_has_a_release() -> None:
    """It is (major, minor)."""
    assert torch_release() >= (2, 11)
