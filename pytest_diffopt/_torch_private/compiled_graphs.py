"""The graphs that compiled functions call, to be called another way for a while."""

from collections.abc import Callable, Iterable, Iterator, MutableMapping
from contextlib import contextmanager
from typing import Any

import torch

_Call = Callable[..., Any]
# Dynamo's bytecode finds each graph that it calls under such a name among the globals of the function's module.
_GRAPH_NAME = "__compiled_fn"
#: What the profiler calls Dynamo's own work around a graph: evaluating guards, and making a tensor of a number.
DYNAMOS_OWN_WORK = frozenset({"TorchDynamo Cache Lookup", "Pregraph bytecode"})


@contextmanager
def graphs_called_through(
    namespaces: Iterable[MutableMapping[str, Any]], wrap: Callable[[_Call], _Call]
) -> Iterator[None]:
    """Call each graph through a wrapper, which nobody compiles.

    Args:
        namespaces: the globals of every module in which something was compiled.
        wrap: makes, from a graph, what is called in its place.
    """
    graphs = [(namespace, name) for namespace in namespaces for name in namespace if name.startswith(_GRAPH_NAME)]
    originals = [(namespace, name, namespace[name]) for namespace, name in graphs]
    for namespace, name, graph in originals:
        disable: Any = torch.compiler.disable
        namespace[name] = disable(wrap(graph))
    try:
        yield
    finally:
        for namespace, name, graph in originals:
            if name in namespace:  # else its code was thrown away meanwhile
                namespace[name] = graph
