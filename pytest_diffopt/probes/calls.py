"""Calling a pipeline so that the same inputs give the same call every time."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import torch

from pytest_diffopt._torch_private import trace_not_captured


def repeatable_call(target: Callable[..., Any], args: Iterable[Any], inputs: Mapping[str, Any]) -> Callable[[], Any]:
    """Return a function that makes one and the same call each time.

    A generator among the inputs changes while it is used, so each is set back to its state of now before every call.
    """
    positional, keywords = tuple(args), dict(inputs)
    states = [(generator, generator.get_state()) for generator in _generators([*positional, *keywords.values()])]

    def call() -> Any:
        for generator, state in states:
            generator.set_state(state)
        with trace_not_captured():
            return target(*positional, **keywords)

    return call


def _generators(values: Iterable[Any]) -> Iterator[torch.Generator]:
    for value in values:
        if isinstance(value, torch.Generator):
            yield value
        elif isinstance(value, (list, tuple)):
            yield from _generators(value)
