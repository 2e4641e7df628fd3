"""The sizes that `compile(dynamic_shapes=...)` lets vary, as keywords of `torch.compile` for each compiled function."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from pytest_diffopt._torch_private.shape_specs import Shapes, shape_keyword
from pytest_diffopt.errors import RecipeError, did_you_mean


def require_parameters(shapes: Shapes, functions: Mapping[str, Callable[..., Any]]) -> None:
    """Refuse shapes of what is no parameter of any of the functions, which have the names of their parts.

    Raises:
        RecipeError: a name is no parameter.
    """
    known = [name for one in functions.values() for name in inspect.signature(one).parameters if name != "self"]
    for name in shapes:
        if name not in known:
            msg = (
                f"compile(dynamic_shapes=...) names {name!r}, which is no parameter of {' or '.join(functions)}"
                f"{did_you_mean(name, known)}; known: {', '.join(dict.fromkeys(known))}"
            )
            raise RecipeError(msg)


def keyword_for(shapes: Shapes, function: Callable[..., Any]) -> dict[str, Any]:
    """Return the keyword of `torch.compile` for the function's own parameters; empty if it has none of them."""
    parameters = inspect.signature(function).parameters
    own = {name: one for name, one in shapes.items() if name in parameters}
    return shape_keyword(function, own) if own else {}
