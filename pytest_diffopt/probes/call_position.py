"""The position of a running call: denoise step, cache context and innermost module."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch

from pytest_diffopt._torch_private.replacing import replaced
from pytest_diffopt.records import NO_CONTEXT


@dataclass(kw_only=True)
class Frame:
    """One running call of a module.

    Attributes:
        path: the module's path.
        ran_work: whether a matrix product, convolution or attention ran in it.
    """

    path: str
    ran_work: bool = False


@dataclass(kw_only=True)
class CallPosition:
    """Where a call is.

    Attributes:
        step: the denoise step, from 0; None outside of the loop.
        context: the name of the pipeline's `cache_context`.
        frames: the running calls of modules, the innermost last.
    """

    step: int | None = None
    context: str = NO_CONTEXT
    frames: list[Frame] = field(default_factory=list)

    @property
    def module(self) -> str:
        """The path of the innermost running module; empty outside of modules."""
        return self.frames[-1].path if self.frames else ""

    def enter_step(self, step: int | None) -> None:
        """Enter a denoise step, or leave the loop."""
        self.step = step


@contextmanager
def contexts_followed(modules: Mapping[str, Any], position: CallPosition) -> Iterator[None]:
    """Follow the `cache_context` that the pipeline opens on its denoisers, while the block runs."""

    def following(original: Callable[..., Any]) -> Callable[..., Any]:
        @contextmanager
        def cache_context(name: str, **kwargs: Any) -> Iterator[Any]:
            before, position.context = position.context, name
            try:
                with original(name, **kwargs) as value:
                    yield value
            finally:
                position.context = before

        return cache_context

    with ExitStack() as stack:
        for module in modules.values():
            if callable(getattr(module, "cache_context", None)):
                stack.enter_context(_replaced_on_instance(module, "cache_context", following))
        yield


@contextmanager
def _replaced_on_instance(
    owner: Any, name: str, watching: Callable[[Callable[..., Any]], Callable[..., Any]]
) -> Iterator[None]:
    if name in vars(owner):
        with replaced(owner, name, watching):
            yield
        return
    setattr(owner, name, watching(getattr(owner, name)))
    try:
        yield
    finally:
        delattr(owner, name)


def weighted(module: torch.nn.Module) -> bool:
    """Return whether a module has a weight that takes part in a matrix product or convolution."""
    return any(parameter.dim() > 1 for parameter in module.parameters())
