"""Compiled modules, methods and functions of a pipeline."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from types import CodeType
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
    """

    path: str
    name: str
    function: _Call
    replaced: Callable[[Replacement], Any]


def compiled_parts(target: Any) -> Iterator[CompiledPart]:
    """Yield every compiled part of a pipeline or module; a bare compiled function is its only part."""
    for component, part in modules_of(target).items():
        for path, module in part.named_modules():
            yield from _compiled_in_place(component, path, module)
            yield from _compiled_methods(".".join(filter(None, [component, path])), module)
    if not isinstance(target, torch.nn.Module) and (original := original_callable(target)):
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


def _compiled_methods(owner_path: str, owner: torch.nn.Module) -> Iterator[CompiledPart]:
    for name, value in list(vars(owner).items()):
        original = original_callable(value)
        if original is not None and not name.startswith("_") and name != "forward":
            path = f"{owner_path}.{name}"
            yield CompiledPart(
                path=path, name=path, function=original, replaced=_method_replacer(owner, name, path, original)
            )


def _method_replacer(owner: Any, name: str, path: str, original: _Call) -> Callable[[Replacement], Any]:
    @contextmanager
    def replaced(make: Replacement) -> Iterator[None]:
        compiled = getattr(owner, name)
        setattr(owner, name, make(path, compiled, original))
        try:
            yield
        finally:
            setattr(owner, name, compiled)

    return replaced


def _nothing_replaced(_make: Replacement) -> ExitStack:
    return ExitStack()
