"""Shapes that torch.compile compiles for any size: its `dynamic_shapes` keyword, a prototype since torch 2.13."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch

_KNOWN = inspect.signature(torch.compile).parameters
# `shapes_spec` in torch 2.13, `dynamic_shapes` since.
_KEYWORD = next((name for name in ("dynamic_shapes", "shapes_spec") if name in _KNOWN), "")
HAS_SHAPES, ISOLATES_RECOMPILES = bool(_KEYWORD), "isolate_recompiles" in _KNOWN

#: For each parameter one entry per dimension: None is a fixed size, a word a varying one; equal words are equal sizes.
Shapes = Mapping[str, Sequence[str | None]]


def shape_keyword(function: Callable[..., Any], shapes: Shapes) -> dict[str, Any]:
    """Return the keyword of `torch.compile` for a function whose tensors of some dimensions vary in size.

    A decorator's wrapper takes only `**kwargs`; torch wants the parameters' names there.

    Args:
        function: the function to compile, which is called with the parameters by keyword if it is a wrapper.
        shapes: the dimensions of its parameters.
    """
    from torch.fx.experimental.dynamic_spec import (  # noqa: PLC0415 - torch 2.12 and older have no such module
        ParamsSpec,
        ShapesSpec,
        ShapeVar,
        TensorSpec,
    )

    variables = {word: ShapeVar(word) for dimensions in shapes.values() for word in dimensions if word}
    specs: dict[str, Any] = {
        name: TensorSpec([variables[word] if word else None for word in dimensions])
        for name, dimensions in shapes.items()
    }
    named = _own_parameters(function)
    spec = {name: one for name, one in specs.items() if name in named}
    behind = {name: one for name, one in specs.items() if name not in named}
    if behind:
        spec["**kwargs"] = behind
    return {_KEYWORD: ShapesSpec(ParamsSpec(spec))}


def _own_parameters(function: Callable[..., Any]) -> set[str]:
    return set(inspect.signature(function, follow_wrapped=False).parameters)
