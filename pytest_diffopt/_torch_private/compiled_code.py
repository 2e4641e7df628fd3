"""Compiled functions and modules: how to recognize, call and replace them, and whether compilation is disabled."""

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from types import CodeType
from typing import Any

import torch
import torch._dynamo.config as _dynamo_config
import torch._dynamo.eval_frame as _eval_frame
import torch.compiler as _compiler

from pytest_diffopt._torch_private.module_internals import COMPILED_CALL

_Call = Callable[..., Any]

_SWITCHES = ("TORCH_COMPILE_DISABLE", "TORCHDYNAMO_DISABLE")


def compile_switched_off() -> str:
    """Return the setting that disables `torch.compile` in this process; empty if there is none."""
    for name in _SWITCHES:
        if os.environ.get(name) == "1":
            return f"{name}=1 is set"
    if _dynamo_config.disable:
        return "torch._dynamo.config.disable is True"
    stance = _eval_frame._stance.stance
    return f"torch.compiler.set_stance({stance!r}) is in force" if stance == "force_eager" else ""


def compiled_code_count(code: CodeType) -> int:
    """Return how many compiled versions of a function Dynamo's cache holds; each exists because the function ran."""
    return len(_eval_frame._debug_get_cache_entry_list(code))


def original_callable(compiled: Any) -> Any | None:
    """Return the callable that `torch.compile` wrapped; None for anything that `torch.compile` did not return."""
    if getattr(compiled, "_torchdynamo_disable", False):
        return None  # what `torch.compiler.disable` returned
    return getattr(compiled, "_torchdynamo_orig_callable", None)


def is_compiled_module(module: Any) -> bool:
    """Return whether `module.compile()` was called."""
    call = getattr(module, COMPILED_CALL, None)
    return call.is_compiled if isinstance(call, _WrappedCall) else call is not None


class _WrappedCall:
    """A wrapper of a module's call, in the place where torch looks for a compiled one."""

    def __init__(self, call: _Call, *, is_compiled: bool) -> None:
        self._call = call
        self.is_compiled = is_compiled

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._call(*args, **kwargs)


@contextmanager
def call_replaced(module: Any, call: Callable[[Callable[..., Any], Callable[..., Any]], Any]) -> Iterator[None]:
    """Replace the compiled call of a module that was compiled in place.

    Args:
        module: the module.
        call: returns the replacement from the compiled call and the eager call.
    """
    compiled = module._compiled_call_impl
    module._compiled_call_impl = call(compiled, module._call_impl)
    try:
        yield
    finally:
        module._compiled_call_impl = compiled


def is_called_by_torch(module: Any) -> bool:
    """Return whether `call_wrapped` can wrap the calls of a module: its class does not define `__call__` itself."""
    return type(module).__call__ in {torch.nn.Module.__call__, _eval_frame.OptimizedModule.__call__}


@contextmanager
def call_wrapped(module: Any, wrap: Callable[[_Call], _Call]) -> Iterator[None]:
    """Wrap the calls of a module from eager code, whether it is compiled or not.

    Unlike a hook this changes nothing that compiled code is guarded on: Dynamo neither reads nor traces the attribute.

    Args:
        module: the module.
        wrap: returns the wrapper of its call.
    """
    # In the `__dict__`: a compiled wrapper of a module sets other attributes in the module that it wraps.
    held = vars(module)
    before = held.get(COMPILED_CALL)

    def call(*args: Any, **kwargs: Any) -> Any:
        return (before or module._call_impl)(*args, **kwargs)

    held[COMPILED_CALL] = own = _WrappedCall(wrap(call), is_compiled=is_compiled_module(module))
    try:
        yield
    finally:
        if held.get(COMPILED_CALL) is not own:
            pass  # the call itself compiled the module
        elif before is None:
            del held[COMPILED_CALL]
        else:
            held[COMPILED_CALL] = before


def calls_noted(module: Any, note: Callable[[], None]) -> AbstractContextManager[None]:
    """Call `note` before each call of a module from eager code, as `call_wrapped` does."""

    def wrap(call: _Call) -> _Call:
        def noted(*args: Any, **kwargs: Any) -> Any:
            note()
            return call(*args, **kwargs)

        return noted

    return call_wrapped(module, wrap)


def original_module(module: Any) -> Any | None:
    """Return the module that `torch.compile(module)` wrapped; None for any other module."""
    return (
        vars(module).get("_modules", {}).get("_orig_mod") if isinstance(module, _eval_frame.OptimizedModule) else None
    )


@contextmanager
def as_if_compiling() -> Iterator[None]:
    """Make `torch.compiler.is_compiling()` return True; torch has its own context for this since 2.13."""
    before = _compiler._is_compiling_flag
    _compiler._is_compiling_flag = True
    try:
        yield
    finally:
        _compiler._is_compiling_flag = before
