"""The registry of optimizations: this package's own and those that users register."""

from dataclasses import dataclass
from typing import Any, TypeVar

from pytest_diffopt.arguments import shown
from pytest_diffopt.errors import RecipeError
from pytest_diffopt.recipes.builtin import BUILTIN
from pytest_diffopt.recipes.optimization import Optimization

_Kind = TypeVar("_Kind", bound=type[Optimization])

_KINDS: dict[str, type[Optimization]] = {kind.name: kind for kind in BUILTIN}


def register_optimization(kind: _Kind) -> _Kind:
    """Register an optimization for recipes; a decorator for a subclass of `Optimization`.

    The annotated attributes become its keywords, as in a dataclass. Registering the same class again, for example from
    a conftest that is imported twice, replaces it.

    Raises:
        RecipeError: the class is not a complete optimization, or its name is invalid or taken.
    """
    _refuse_incomplete(kind)
    made: Any = kind if "__dataclass_params__" in vars(kind) else dataclass(frozen=True, kw_only=True)(kind)
    _KINDS[kind.name] = made
    return made  # type: ignore[no-any-return]


def registered_optimizations() -> dict[str, type[Optimization]]:
    """Return every optimization class by name: this package's in the order of application, then users'."""
    return dict(_KINDS)


def _refuse_incomplete(kind: object) -> None:
    if not (isinstance(kind, type) and issubclass(kind, Optimization)):
        msg = f"register_optimization takes a subclass of pytest_diffopt.Optimization, got: {shown(kind)}"
        raise RecipeError(msg)
    lacking = sorted(kind.__abstractmethods__)
    if lacking:
        msg = f"an optimization must define apply and verify, and {kind.__name__} lacks {' and '.join(lacking)}"
        raise RecipeError(msg)
    name = getattr(kind, "name", None)
    if not (isinstance(name, str) and name.isidentifier()):
        msg = f"an optimization's name must be a Python identifier, got: {name!r} in {kind.__name__}"
        raise RecipeError(msg)
    known = _KINDS.get(name)
    if known is not None and _place(known) != _place(kind):
        msg = f"an optimization's name must be unique: {name!r} is already {known.__module__}.{known.__qualname__}"
        raise RecipeError(msg)


def _place(kind: type) -> tuple[str, str]:
    return kind.__module__, kind.__qualname__
