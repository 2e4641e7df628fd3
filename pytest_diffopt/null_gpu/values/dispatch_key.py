"""Operations as torch runs them below autograd, seen under a dispatch key that torch does not use.

Tried with torch 2.12 and 2.14. A Python kernel under an otherwise unused dispatch key sees each operation below
autograd, as a `TorchDispatchMode` does. Unlike a mode it leaves `isTensorSubclassLike` false, so that torch takes the
branches that it takes without it, and Dynamo ignores it.
"""

# ruff: noqa: SLF001 - it exists for that

import functools
import operator
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import CodeType
from typing import Any

import torch
from torch.library import Library, fallthrough_kernel
from torch.utils._pytree import tree_leaves

_PYTHON = torch._C.DispatchKey.Python
# Torch counts it among the keys of backends.
_OF_BACKENDS = "CustomRNGKeyId"


def _below_python(name: str) -> bool:
    # a key above would come before dispatch modes and fake tensors, which compilation works with
    key: Any = torch._C._parse_dispatch_key(name)
    after = torch._C._dispatch_keyset_full_after(key)
    return not after.has(_PYTHON)


# Neither is included by torch. "Fake" also sees operations that create tensors as they are called, and is above Python
# before torch 2.14; below "CustomRNGKeyId" they are seen as the operations that fill their result.
_KEY_NAME = next(filter(_below_python, ("Fake", _OF_BACKENDS)))
_KEY: Any = torch._C._parse_dispatch_key(_KEY_NAME)
_KEYS = torch._C.DispatchKeySet(_KEY)
_COMPOSITE = "CompositeImplicitAutograd"
_has_kernel = torch._C._dispatch_has_kernel_for_dispatch_key

# They compute nothing: allocation, metadata, ownership.
_WITHOUT_VALUES = frozenset(
    {
        "empty",
        "empty_strided",
        "empty_like",
        "empty_permuted",
        "empty_quantized",
        "new_empty",
        "new_empty_strided",
        "is_pinned",
        "_pin_memory",
        "pin_memory",
        "lift",
        "lift_fresh",
        "record_stream",
        "resize_",
        "resize_as_",
        "set_",
    }
)

Handler = Callable[[Any, tuple[Any, ...], dict[str, Any]], Any]
Observer = Callable[[Any, tuple[Any, ...], dict[str, Any], Any], None]


class _Listening:
    handler: Handler | None = None
    observers: tuple[Observer, ...] = ()
    is_withdrawn = False


_libraries: dict[str, Library] = {}
# What is registered for each operation of torch, by its name; None where it falls through.
_kernels: dict[str, Callable[..., Any] | None] = {}
_listening = _Listening()


def intercept(handler: Handler) -> None:
    """Have each operation that computes something call `handler(operation, args, kwargs)` where `included()` holds.

    May be called again after more operations have been defined; the handler must be the same.
    """
    _listening.handler = handler
    _register_all()


@contextmanager
def observing(note: Observer) -> Iterator[None]:
    """Call `note(operation, args, kwargs, result)` after each operation of this thread that computes something."""
    _register_all()
    before = _listening.observers
    _listening.observers = (*before, note)
    try:
        with included():
            yield
    finally:
        _listening.observers = before


def _register_all() -> None:
    if "_" not in _libraries:
        _keep_from_dynamo(_call.__code__)
        _libraries["_"] = Library("_", "IMPL")  # type: ignore[no-untyped-call]
        _libraries["_"].fallback(fallthrough_kernel, _KEY_NAME)  # type: ignore[no-untyped-call]
    for name in torch._C._dispatch_get_all_op_names():
        if name not in _kernels:
            _kernels[name] = _kernel(name)
            _register(name)


def _keep_from_dynamo(code: CodeType) -> None:
    """Have Dynamo run a function and what it calls as they are: between two graphs it would compile them."""
    eval_frame = torch._C._dynamo.eval_frame
    skip = eval_frame._FrameAction.SKIP
    eval_frame.set_code_exec_strategy(code, eval_frame._FrameExecStrategy(skip, skip))


def _kernel(qualified: str) -> Callable[..., Any] | None:
    if _is_composite(qualified):
        return None
    namespace, _, name = qualified.partition("::")
    packet, _, overload = name.partition(".")
    operation = getattr(getattr(getattr(torch.ops, namespace), packet, None), overload or "default", None)
    if operation is None or packet in _WITHOUT_VALUES or operation.is_view:
        return None
    return functools.partial(_call, operation)


def _register(qualified: str) -> None:
    kernel = _registered(qualified)
    if kernel is None:
        return
    namespace, _, name = qualified.partition("::")
    if namespace not in _libraries:
        _libraries[namespace] = Library(namespace, "IMPL")  # type: ignore[no-untyped-call]
    library = _libraries[namespace].m
    if library is not None:
        library.impl(name, _KEY_NAME, kernel, False)  # noqa: FBT003


def _registered(qualified: str) -> Callable[..., Any] | None:
    """Return what is registered for an operation now; None is nothing.

    Without any of its own, the key of torch before 2.14 has the kernel that serves all backends. That must not run
    where the GPU has another one, as for operations on lists of tensors.
    """
    kernel = _kernels[qualified]
    if kernel is None or not _listening.is_withdrawn:
        return kernel
    serves_all = _KEY_NAME == _OF_BACKENDS and _has_kernel(qualified, "CompositeExplicitAutograd")
    return fallthrough_kernel if serves_all and _has_kernel(qualified, "CUDA") else None


def _is_composite(qualified: str) -> bool:
    # it falls through, and what it is made of is seen; unless the GPU has a kernel of its own for it
    return _has_kernel(qualified, _COMPOSITE) and not _has_kernel(qualified, "CUDA")


def _call(operation: Any, *args: Any, **kwargs: Any) -> Any:
    with torch._C._ExcludeDispatchKeyGuard(_KEYS):
        handler = _listening.handler
        result = handler(operation, args, kwargs) if handler else operation(*args, **kwargs)
        for note in _listening.observers:
            note(operation, args, kwargs, result)
        return result


@contextmanager
def included() -> Iterator[None]:
    """Have this thread's operations call the handler; what backward runs on other threads for it, too."""
    before = torch._C._dispatch_tls_is_dispatch_key_included(_KEY)
    torch._C._dispatch_tls_set_dispatch_key_included(_KEY, True)  # noqa: FBT003
    try:
        yield
    finally:
        torch._C._dispatch_tls_set_dispatch_key_included(_KEY, before)


@contextmanager
def excluded() -> Iterator[None]:
    """Have this thread's operations run without the handler."""
    with torch._C._ExcludeDispatchKeyGuard(_KEYS):
        yield


def withdraw() -> None:
    """Have no operation of any thread call the handler, until `restore()`.

    It takes milliseconds, and nothing where it is so already. Unlike `excluded()` it leaves the thread's dispatch keys
    as they are: those are in Dynamo's guards, and a call with others would be compiled once more.
    """
    if not _listening.is_withdrawn:
        _listening.is_withdrawn = True
        _register_again()


def restore() -> None:
    """Have operations call the handler again; may be called again."""
    if _listening.is_withdrawn:
        _listening.is_withdrawn = False
        _register_again()


def _register_again() -> None:
    for namespace in _libraries.keys() - {"_"}:
        library = _libraries.pop(namespace).m
        if library is not None:
            library.reset()
    for name in _kernels:
        _register(name)


def run_seen(operation: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Run an operation without the handler, and the operations that it calls with it."""
    keys = torch._C._dispatch_keyset_full_after(_KEY)
    tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, torch.Tensor)]
    own = functools.reduce(operator.or_, map(torch._C._dispatch_keys, tensors))
    torch._C._dispatch_tls_set_dispatch_key_excluded(_KEY, False)  # noqa: FBT003
    try:
        return operation.redispatch(own & keys, *args, **kwargs)
    finally:
        torch._C._dispatch_tls_set_dispatch_key_excluded(_KEY, True)  # noqa: FBT003
