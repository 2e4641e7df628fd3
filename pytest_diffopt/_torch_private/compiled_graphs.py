"""The graphs that compiled functions call, and how to wrap their calls."""

from collections.abc import Callable, Container, Iterable, Iterator, MutableMapping
from contextlib import contextmanager
from typing import Any

import torch
import torch._dynamo.external_utils as _external_utils

_Call = Callable[..., Any]
# Dynamo stores each graph under such a name in the globals of the function's module.
_GRAPH_NAME = "__compiled_fn"
#: The profiler's names of Dynamo's work around a graph: evaluating guards, and making a tensor of a number.
DYNAMOS_OWN_WORK = frozenset({"TorchDynamo Cache Lookup", "Pregraph bytecode"})


def globals_of_torchs_layers() -> MutableMapping[str, Any]:
    """Return the globals of the frame in which `torch.compile(module)` calls a layer of torch, and keeps its graph."""
    return vars(_external_utils)


@contextmanager
def graphs_called_through(
    namespaces: Iterable[MutableMapping[str, Any]],
    wrap: Callable[[_Call], _Call],
    *,
    names: Container[str] | None = None,
) -> Iterator[None]:
    """Call each graph through a wrapper, which is not compiled itself.

    Args:
        namespaces: the globals of every module with a compiled function.
        wrap: returns the wrapper of a graph.
        names: the globals to choose from; None chooses from all.
    """
    graphs = [
        (namespace, name)
        for namespace in namespaces
        for name in namespace
        if name.startswith(_GRAPH_NAME) and (names is None or name in names)
    ]
    originals = [(namespace, name, namespace[name]) for namespace, name in graphs]
    for namespace, name, graph in originals:
        disable: Any = torch.compiler.disable
        namespace[name] = disable(wrap(graph))
    try:
        yield
    finally:
        for namespace, name, graph in originals:
            if name in namespace:  # Dynamo may have discarded the code meanwhile
                namespace[name] = graph
