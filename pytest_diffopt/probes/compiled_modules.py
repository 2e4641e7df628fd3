"""Compiled modules, methods and functions of a pipeline."""

import functools
import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from types import CodeType, FunctionType, MethodType
from typing import Any

import torch

from pytest_diffopt._torch_private.compiled_code import (
    call_replaced,
    compiled_code_count,
    is_compiled_module,
    original_callable,
    original_module,
)
from pytest_diffopt.pipelines.components import modules_of
from pytest_diffopt.records import CompiledModule

_Call = Callable[..., Any]
# Where torch keeps the compiled call of a module and the original of a compiled function.
_OF_TORCH = frozenset({"_compiled_call_impl", "_torchdynamo_orig_callable"})
#: Returns the replacement for a call, given its path, the compiled call and the eager one.
Replacement = Callable[[str, _Call, _Call], _Call]


@dataclass(frozen=True, kw_only=True)
class CompiledPart:
    """One compiled module, method or function.

    Attributes:
        path: path in the pipeline (`unet.down_blocks.1`, `vae.decode`).
        name: name shared by all parts of the same class and component.
        function: the source function, decorators included.
        replaced: returns a context in which a replacement is called instead.
        is_method: whether it is an attribute of its object, and not a module.
    """

    path: str
    name: str
    function: _Call
    replaced: Callable[[Replacement], Any]
    is_method: bool = False

    def runs(self, other: "CompiledPart") -> bool:
        """Return whether another part is below this one and compiled with it; a module has other methods, too."""
        below = self.path.removesuffix("forward").removesuffix(".") + "."
        if self is other or not other.path.startswith(below):
            return False
        name = other.path.removeprefix(below)
        code = getattr(inspect.unwrap(self.function), "__code__", None)
        return not other.is_method or "." in name or name == "forward" or code is None or name in code.co_names


def compiled_parts(target: Any) -> Iterator[CompiledPart]:
    """Yield every compiled part of a pipeline or module; a bare compiled function is its only part."""
    methods_of_classes: dict[type, list[str]] = {}
    for component, part in modules_of(target).items():
        for path, module in part.named_modules():
            yield from _compiled_in_place(component, path, module)
            yield from _compiled_methods(".".join(filter(None, [component, path])), module, methods_of_classes)
    if isinstance(target, torch.nn.Module):
        return
    original = original_callable(target)
    if original is None:
        yield from _compiled_methods("", target, methods_of_classes)
    else:
        name = getattr(original, "__name__", type(original).__name__)
        yield CompiledPart(path=name, name=name, function=original, replaced=_nothing_replaced)


def compiled_modules(target: Any, regions_seen: set[str]) -> tuple[CompiledModule, ...]:
    """Return the compiled parts, grouped by name.

    Args:
        target: the pipeline.
        regions_seen: functions whose compilation was observed, which means that they were called.
    """
    kinds: dict[str, list[CompiledPart]] = {}
    for part in compiled_parts(target):
        kinds.setdefault(part.name, []).append(part)
    return tuple(
        CompiledModule(
            name=name,
            region=region_of(parts[0].function),
            instances=len(parts),
            has_run=any(_has_run(part.function, regions_seen) for part in parts),
        )
        for name, parts in kinds.items()
    )


def compiled_names(target: Any) -> tuple[str, ...]:
    """Return the path of every compiled part."""
    return tuple(part.path for part in compiled_parts(target))


def compiled_codes(target: Any) -> frozenset[CodeType]:
    """Return the code of every function that is compiled in a target, and of the functions that these wrap."""
    layers = (layer for part in compiled_parts(target) for layer in _layers(part.function))
    return frozenset(layer.__code__ for layer in layers if hasattr(layer, "__code__"))


def reachable_codes(target: Any) -> frozenset[CodeType]:
    """Return the code of every method that a graph break in a compiled part can reach, base classes included."""
    return frozenset(code for kind in _reachable_classes(target) for code in _method_codes(kind))


def _reachable_classes(target: Any) -> set[type]:
    """Return the classes of every module in a compiled part, and of every object with a compiled method."""
    owners = [owner for part in compiled_parts(target) if (owner := _owner_of(part, modules_of(target))) is not None]
    return {
        type(one) for owner in owners for one in (owner.modules() if isinstance(owner, torch.nn.Module) else (owner,))
    }


def _owner_of(part: CompiledPart, modules: Mapping[str, torch.nn.Module]) -> Any:
    """Return the module of a part, or the object of its method; None for a function."""
    component, _, path = part.path.partition(".")
    if component not in modules:
        return getattr(part.function, "__self__", None)
    path = path.rpartition(".")[0] if part.is_method else path
    return modules[component].get_submodule(path)


@functools.cache
def _method_codes(kind: type) -> frozenset[CodeType]:
    """Return the code of each method of a class and its base classes, without those of torch's own modules."""
    classes = (one for one in kind.__mro__ if one not in {object, torch.nn.Module})
    methods = (inspect.unwrap(value) for one in classes for value in vars(one).values() if callable(value))
    return frozenset(method.__code__ for method in methods if hasattr(method, "__code__"))


def region_of(function: _Call) -> str:
    """Return the qualified name of the innermost wrapped function, as used for regions in the compile log."""
    name: str = getattr(_layers(function)[-1], "__qualname__", type(function).__name__)
    return name.replace("<locals>.", "")


def _has_run(function: _Call, regions_seen: set[str]) -> bool:
    """Return whether a function was called, which is when `torch.compile` compiles it.

    A decorated `forward` is compiled from its wrapper on; after a graph break the inner function is compiled alone.
    """
    codes = [layer.__code__ for layer in _layers(function) if hasattr(layer, "__code__")]
    return region_of(function) in regions_seen or any(map(compiled_code_count, codes))


def _layers(function: Any) -> list[Any]:
    layers = [function]
    while hasattr(layers[-1], "__wrapped__"):
        layers.append(layers[-1].__wrapped__)
    return layers


def _compiled_in_place(component: str, path: str, module: torch.nn.Module) -> Iterator[CompiledPart]:
    whole = ".".join(filter(None, [component, path]))
    original = original_module(module)
    if original is None and not is_compiled_module(module):
        return
    kind = type(module if original is None else original)

    @contextmanager
    def replaced(make: Replacement) -> Iterator[None]:
        with call_replaced(module, lambda compiled, eager: make(whole, compiled, eager)):
            yield

    yield CompiledPart(
        path=whole,
        name=f"{component} {kind.__name__}" if path else component,
        function=kind.forward,
        replaced=replaced if original is None else _method_replacer(module, "forward", whole, original),
    )


def _compiled_methods(owner_path: str, owner: Any, methods_of_classes: dict[type, list[str]]) -> Iterator[CompiledPart]:
    """Yield the compiled attributes of an object, and the compiled methods of its class."""
    if original_module(owner) is not None:
        return  # torch's own wrapper of a compiled module
    kind = type(owner)
    if kind not in methods_of_classes:
        methods_of_classes[kind] = [name for one in kind.__mro__ for name in _compiled_names_in(vars(one))]
    attributes = getattr(owner, "__dict__", {})
    names = _compiled_names_in(attributes)
    for name in dict.fromkeys([*names, *(one for one in methods_of_classes[kind] if one not in attributes)]):
        path = ".".join(filter(None, [owner_path, name]))
        function = _bound(original_callable(getattr(owner, name)), owner, name)
        yield CompiledPart(
            path=path,
            name=path,
            function=function,
            replaced=_method_replacer(owner, name, path, function),
            is_method=True,
        )


def _compiled_names_in(attributes: Mapping[str, Any]) -> list[str]:
    found = [name for name, value in list(attributes.items()) if original_callable(value) is not None]
    return [name for name in found if name not in _OF_TORCH and not isinstance(attributes[name], torch.nn.Module)]


def _bound(function: Any, owner: Any, name: str) -> _Call:
    """Return the original of a compiled method, bound to its object: torch keeps that of its own layers unbound."""
    call: _Call = function
    of_class = getattr(type(owner), name, None)
    if of_class is None or not isinstance(function, FunctionType):
        return call
    return MethodType(function, owner) if inspect.unwrap(of_class) is inspect.unwrap(function) else call


def _method_replacer(owner: Any, name: str, path: str, original: _Call) -> Callable[[Replacement], Any]:
    @contextmanager
    def replaced(make: Replacement) -> Iterator[None]:
        is_of_class = name not in vars(owner)
        compiled = getattr(owner, name)
        setattr(owner, name, make(path, compiled, original))
        try:
            yield
        finally:
            if is_of_class:
                delattr(owner, name)
            else:
                setattr(owner, name, compiled)

    return replaced


def _nothing_replaced(_make: Replacement) -> ExitStack:
    return ExitStack()
