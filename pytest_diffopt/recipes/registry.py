"""The optimizations that a recipe may name: this package's, and those that a user registers."""

from dataclasses import dataclass
from typing import Any, TypeVar

from pytest_diffopt.errors import RecipeError
from pytest_diffopt.recipes.builtin import BUILTIN
from pytest_diffopt.recipes.optimization import Optimization

_Kind = TypeVar("_Kind", bound=type[Optimization])

_KINDS: dict[str, type[Optimization]] = {kind.name: kind for kind in BUILTIN}


def register_optimization(kind: _Kind) -> _Kind:
    """Let recipes name an optimization; a decorator for a subclass of `Optimization`.

    Its annotated attributes become its keywords, as in a dataclass. Registering the same class again, as a conftest
    that is imported twice does, replaces it.

    Raises:
        RecipeError: the class is no optimization, lacks something, or its name is taken or no name.
    """
    _refuse_incomplete(kind)
    made: Any = kind if "__dataclass_params__" in vars(kind) else dataclass(frozen=True, kw_only=True)(kind)
    _KINDS[kind.name] = made
    return made  # type: ignore[no-any-return]


def registered_optimizations() -> dict[str, type[Optimization]]:
    """Return every kind by its name, in the order of registration."""
    return dict(_KINDS)


def _refuse_incomplete(kind: object) -> None:
    if not (isinstance(kind, type) and issubclass(kind, Optimization)):
        msg = f"register_optimization takes a subclass of pytest_diffopt.Optimization, got: {kind!r}"
        raise RecipeError(msg)
    lacking = sorted(kind.__abstractmethods__)
    if lacking:
        msg = f"an optimization needs apply and verify, and {kind.__name__} lacks {' and '.join(lacking)}"
        raise RecipeError(msg)
    name = getattr(kind, "name", None)
    if not (isinstance(name, str) and name.isidentifier()):
        msg = f"an optimization's name must be one that Python could give, got: {name!r} in {kind.__name__}"
        raise RecipeError(msg)
    known = _KINDS.get(name)
    if known is not None and _place(known) != _place(kind):
        msg = f"an optimization's name must be its own: {name!r} is {known.__module__}.{known.__qualname__} already"
        raise RecipeError(msg)


def _place(kind: type) -> tuple[str, str]:
    return kind.__module__, kind.__qualname__
