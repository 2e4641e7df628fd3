"""Calls of compiled parts, and whether each ran a compiled graph."""

import sys
from collections.abc import Callable, Iterable, Iterator, MutableMapping
from contextlib import ExitStack, contextmanager
from typing import Any

import torch

from pytest_diffopt._torch_private.compiled_graphs import globals_of_torchs_layers
from pytest_diffopt.pipelines.components import modules_of
from pytest_diffopt.probes.call_position import CallPosition
from pytest_diffopt.probes.compiled_modules import CompiledPart, compiled_parts
from pytest_diffopt.probes.graph_calls import GraphCalls
from pytest_diffopt.records import CompiledCalls

_Call = Callable[..., Any]


class CompiledTrace:
    """Counts the calls of every compiled part, and of compiled graphs in it, while the block of `watching` runs.

    Args:
        target: the pipeline.
        position: the position of the call.
    """

    def __init__(self, target: Any, position: CallPosition) -> None:
        self._parts = list(compiled_parts(target))
        self._hooks = list(globals_of_hooks(target))
        self._position = position
        self._counts: dict[tuple[str, int | None], list[int]] = {}

    @property
    def is_empty(self) -> bool:
        """Whether nothing is compiled."""
        return not self._parts

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Count while the block runs."""
        with GraphCalls([*globals_of(self._parts), *self._hooks]) as graphs, ExitStack() as stack:
            for part in self._parts:
                stack.enter_context(part.replaced(self._counting(graphs)))
            yield

    def calls(self) -> tuple[CompiledCalls, ...]:
        """Return what was counted so far."""
        return tuple(
            CompiledCalls(part=path, step=step, count=count, graphs=graphs, eager=eager)
            for (path, step), (count, graphs, eager) in self._counts.items()
        )

    def _counting(self, graphs: GraphCalls) -> Callable[[str, _Call, _Call], _Call]:
        def replacement(path: str, compiled: _Call, _eager: _Call) -> _Call:
            def counted(*args: Any, **kwargs: Any) -> Any:
                if torch.compiler.is_dynamo_compiling():  # another compiled part calls this one, and inlines it
                    return compiled(*args, **kwargs)
                before = graphs.count
                result = compiled(*args, **kwargs)
                counts = self._counts.setdefault((path, self._position.step), [0, 0, 0])
                counts[0] += 1
                counts[1] += graphs.count - before
                counts[2] += graphs.count == before
                return result

            return counted

        return replacement


def globals_of_hooks(target: Any) -> Iterator[MutableMapping[str, Any]]:
    """Yield the globals of diffusers' hooks: where the graph of a hooked module breaks, Dynamo compiles those."""
    for part in modules_of(target).values():
        for module in part.modules():
            registry = vars(module).get("_diffusers_hook")
            for one in (registry, *registry.hooks.values()) if registry is not None else ():
                yield vars(sys.modules[type(one).__module__])


def globals_of(parts: Iterable[CompiledPart]) -> Iterator[MutableMapping[str, Any]]:
    """Yield the globals of each function and of those that it wraps, where Dynamo keeps their graphs."""
    yield globals_of_torchs_layers()
    for part in parts:
        function: Any = getattr(part.function, "__func__", part.function)
        while function is not None:
            if hasattr(function, "__globals__"):
                yield function.__globals__
            function = getattr(function, "__wrapped__", None)
