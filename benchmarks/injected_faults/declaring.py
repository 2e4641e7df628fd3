"""What an injected fault is, and the few ways in which one is injected."""

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

#: Plants a bug into a pipeline, or into the classes that it is made of, until the block ends.
Injection = Callable[[Any], AbstractContextManager[Any]]

#: What most bugs are injected into: every optimization that leaves the code uncompiled.
FUSED = "bf16 + sdpa + channels_last + fuse_qkv"


@dataclass(frozen=True, kw_only=True, slots=True)
class InjectedFault:
    """One bug.

    Attributes:
        name: what `--only` takes.
        imitates: what goes wrong, as a reviewer would say it.
        precedent: where the like of it happened; empty where none is known to us.
        pipeline: the tiny pipeline that it is injected into.
        recipe: what that pipeline is optimized with.
        inputs: what the call says besides the family's plain one, where the bug would hide without it.
        is_timed: only a clock can see it, so the latency is measured too.
        allow_syncs: waits that the recipe itself is known for.
        inject: injects it into the optimized pipeline.
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
    """Put another value in an attribute's place until the block ends."""
    return mock.patch.object(owner, name, new_value)


def wrapped(owner: Any, name: str, around: Callable[..., Any]) -> AbstractContextManager[Any]:
    """Let `around(original, *args, **kwargs)` answer in a method's or function's place until the block ends."""
    original = getattr(owner, name)

    @functools.wraps(original)
    def answer(*args: Any, **kwargs: Any) -> Any:
        return around(original, *args, **kwargs)

    is_static = isinstance(inspect.getattr_static(owner, name), staticmethod)
    return mock.patch.object(owner, name, staticmethod(answer) if is_static else answer)


def attending(change: Callable[..., Any]) -> Callable[..., Any]:
    """Make what `wrapped` takes: while the original runs, `change(attend, query, key, value, **keywords)` attends."""
    name = "scaled_dot_product_attention"
    attend = functional.scaled_dot_product_attention

    def once(_patched: Any, *args: Any, **kwargs: Any) -> Any:
        with replaced(functional, name, attend):  # what answers for a simulated GPU attends once more, on the CPU
            return change(attend, *args, **kwargs)

    def around(original: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        with wrapped(functional, name, once):
            return original(*args, **kwargs)

    return around


@contextmanager
def configured(component: Any, **values: Any) -> Iterator[None]:
    """Let a component's configuration say something else until the block ends."""
    before = {name: component.config[name] for name in values}
    component.register_to_config(**values)
    try:
        yield
    finally:
        component.register_to_config(**before)


@contextmanager
def altered(parameters: Mapping[torch.Tensor, torch.Tensor]) -> Iterator[None]:
    """Give parameters other values until the block ends."""
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
