"""Access to torchao, an optional dependency."""

from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from packaging.version import Version

from pytest_diffopt.errors import RecipeError

OLDEST = "0.18"


def torchao_quantization(needed_by: str) -> Any:
    """Return the module `torchao.quantization`.

    Args:
        needed_by: the optimization that needs it, for messages.

    Raises:
        RecipeError: torchao is missing or too old.
    """
    install = f'pip install "torchao>={OLDEST}"'
    try:
        found = version("torchao")
    except PackageNotFoundError as error:
        msg = f"{needed_by} needs torchao, which is not installed: {install}"
        raise RecipeError(msg) from error
    if Version(found) < Version(OLDEST):
        msg = f"{needed_by} needs torchao {OLDEST} or newer, and {found} is installed: {install}"
        raise RecipeError(msg)
    return import_module("torchao.quantization")
