"""The declaration of an injected fault, and context managers that inject one."""

import functools
import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import Any
from unittest import mock

import torch
from torch.nn import functional

from pytest_diffopt import AllowedSyncs

#: Injects a fault into a pipeline, or into its classes, until the block ends.
Injection = Callable[[Any], AbstractContextManager[Any]]

#: The default recipe: every optimization that does not compile.
FUSED = "bf16 + sdpa + channels_last + fuse_qkv"


@dataclass(frozen=True, kw_only=True, slots=True)
class InjectedFault:
    """One injected fault.

    Attributes:
        name: argument of `--only`.
        imitates: the bug that it imitates, in a reviewer's terms.
        precedent: issue or pull request of a similar bug; empty if none is known.
        pipeline: tiny pipeline into which it is injected.
        recipe: recipe of that pipeline.
        inputs: additional keywords of the call without which the fault has no effect.
        is_timed: whether only latency shows it, so the latency is measured too.
        allow_syncs: known syncs of the recipe.
        inject: injects the fault into the optimized pipeline.
    """

    name: str
    imitates: str
    inject: Injection
    precedent: str = ""
    pipeline: str = "sdxl"
    recipe: str = FUSED
    inputs: Mapping[str, Any] = field(default_factory=dict)
    is_timed: bool = False
    allow_syncs: Sequence[AllowedSyncs] = ()


def replaced(owner: Any, name: str, new_value: Any) -> AbstractContextManager[Any]:
    """Replace the value of an attribute until the block ends."""
    return mock.patch.object(owner, name, new_value)


def wrapped(owner: Any, name: str, around: Callable[..., Any]) -> AbstractContextManager[Any]:
    """Replace a method or function by `around(original, *args, **kwargs)` until the block ends."""
    original = getattr(owner, name)

    @functools.wraps(original)
    def replacement(*args: Any, **kwargs: Any) -> Any:
        return around(original, *args, **kwargs)

    is_static = isinstance(inspect.getattr_static(owner, name), staticmethod)
    return mock.patch.object(owner, name, staticmethod(replacement) if is_static else replacement)


def attending(change: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function for `wrapped` that replaces attention while the original runs.

    Args:
        change: called as `change(attend, query, key, value, **keywords)` instead of `scaled_dot_product_attention`.
    """
    name = "scaled_dot_product_attention"
    attend = functional.scaled_dot_product_attention

    def once(_patched: Any, *args: Any, **kwargs: Any) -> Any:
        with replaced(functional, name, attend):  # the simulated GPU's handler calls it again, on the CPU
            return change(attend, *args, **kwargs)

    def around(original: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        with wrapped(functional, name, once):
            return original(*args, **kwargs)

    return around


@contextmanager
def configured(component: Any, **values: Any) -> Iterator[None]:
    """Change a component's configuration until the block ends."""
    before = {name: component.config[name] for name in values}
    component.register_to_config(**values)
    try:
        yield
    finally:
        component.register_to_config(**before)


@contextmanager
def altered(parameters: Mapping[torch.Tensor, torch.Tensor]) -> Iterator[None]:
    """Change the values of parameters until the block ends."""
    before = {parameter: parameter.detach().clone() for parameter in parameters}
    try:
        _fill(parameters)
        yield
    finally:
        _fill(before)


def _fill(values: Mapping[torch.Tensor, torch.Tensor]) -> None:
    with torch.no_grad():
        for parameter, value in values.items():
            parameter.copy_(value)
