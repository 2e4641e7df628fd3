"""torchao, which is not installed everywhere: found, or missed in words that say what to do."""

from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from packaging.version import Version

from pytest_diffopt.errors import RecipeError

OLDEST = "0.18"


def torchao_quantization(asked_by: str) -> Any:
    """Return the module `torchao.quantization`.

    Args:
        asked_by: the optimization that needs it.

    Raises:
        RecipeError: torchao is missing or too old.
    """
    install = f'pip install "torchao>={OLDEST}"'
    try:
        found = version("torchao")
    except PackageNotFoundError as error:
        msg = f"{asked_by} needs torchao, which is not installed: {install}"
        raise RecipeError(msg) from error
    if Version(found) < Version(OLDEST):
        msg = f"{asked_by} needs torchao {OLDEST} or newer, and {found} is installed: {install}"
        raise RecipeError(msg)
    return import_module("torchao.quantization")
