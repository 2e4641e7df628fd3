"""Compiled code on the simulated GPU: its original runs there, and takes the branches that the compiled code took.

Libraries ask `torch.compiler.is_compiling()`: torchao prints every activation to see whether it is being traced, unless
it is told that it is. Uncompiled that print is a real wait; compiled it is not there.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch

from pytest_diffopt._torch_private.compiled_code import as_if_compiling, is_compiled_module, original_callable
from pytest_diffopt.pipelines.components import modules_of


@contextmanager
def branches_of_compiled_code(target: Any) -> Iterator[None]:
    """Let everything compiled in a pipeline or module see itself as being compiled, for the length of a block."""
    with ExitStack() as stack:
        for root in modules_of(target).values():
            for module in root.modules():
                for name in _compiled_attributes(module):
                    stack.enter_context(_wrapped(module, name))
        yield


def _compiled_attributes(module: torch.nn.Module) -> list[str]:
    """Return the names under which compiled callables hang on a module: its own call, or a method that was replaced."""
    methods = [name for name, value in vars(module).items() if original_callable(value) is not None]
    own = ["_compiled_call_impl"] if is_compiled_module(module) else []
    return [*own, *(name for name in methods if name not in own)]


@contextmanager
def _wrapped(module: torch.nn.Module, name: str) -> Iterator[None]:
    compiled: Callable[..., Any] = vars(module)[name]

    def call(*args: Any, **kwargs: Any) -> Any:
        with as_if_compiling():
            return compiled(*args, **kwargs)

    module.__dict__[name] = call
    try:
        yield
    finally:
        module.__dict__[name] = compiled
