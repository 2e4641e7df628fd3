"""The releases of torch whose private names are known; any other is refused in one sentence before one is touched."""

import os

import torch
from packaging.version import Version

from pytest_diffopt._version import __version__
from pytest_diffopt.errors import DiffoptError

OLDEST, NEWEST = (2, 11), (2, 15)
ANY_TORCH_VARIABLE = "DIFFOPT_ANY_TORCH"


class UnsupportedTorchError(DiffoptError):
    """The installed torch is not one whose private names are known."""


def release_of(torch_version: str) -> tuple[int, ...]:
    """Return (major, minor) of a version of torch, such as `2.14.1+cu130`."""
    return Version(torch_version).release[:2]


def torch_release() -> tuple[int, ...]:
    """Return (major, minor) of the installed torch."""
    return release_of(str(torch.__version__))


def require_supported(torch_version: str) -> None:
    """Refuse a torch that is too old, or newer than any that was tried; the variable allows a newer one.

    Raises:
        UnsupportedTorchError: the version is not supported.
    """
    release = release_of(torch_version)
    supported = f"torch {_dotted(OLDEST)} to {_dotted(NEWEST)}"
    message = f"pytest-diffopt {__version__} supports {supported}, and this is torch {torch_version}"
    if release < OLDEST:
        raise UnsupportedTorchError(message)
    if release > NEWEST and os.environ.get(ANY_TORCH_VARIABLE) != "1":
        message = f"{message}; set {ANY_TORCH_VARIABLE}=1 to try it nevertheless"
        raise UnsupportedTorchError(message)


def _dotted(release: tuple[int, ...]) -> str:
    return ".".join(map(str, release))
