"""Compiled code on the simulated GPU: the eager code runs, on the branches that the compiled code takes.

Libraries branch on `torch.compiler.is_compiling()`. For example, torchao prints activations to detect tracing unless
that function returns True; in eager code the print synchronizes, in compiled code it does not exist.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch

from pytest_diffopt._torch_private.compiled_code import as_if_compiling, is_compiled_module, original_callable
from pytest_diffopt.pipelines.components import modules_of


@contextmanager
def branches_of_compiled_code(target: Any) -> Iterator[None]:
    """Let `torch.compiler.is_compiling()` return True in all compiled code of a pipeline or module."""
    with ExitStack() as stack:
        for root in modules_of(target).values():
            for module in root.modules():
                for name in _compiled_attributes(module):
                    stack.enter_context(_wrapped(module, name))
        yield


def _compiled_attributes(module: torch.nn.Module) -> list[str]:
    """Return the names of a module's compiled attributes: its own call, and replaced methods."""
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
