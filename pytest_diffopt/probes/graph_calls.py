"""Counts the calls of compiled graphs: the evidence that compiled code ran."""

from collections.abc import Callable, Iterable, MutableMapping
from contextlib import AbstractContextManager, ExitStack
from typing import Any, Self

from pytest_diffopt._torch_private.compile_watching import Compilation, compilations_watched
from pytest_diffopt._torch_private.compiled_graphs import graphs_called_through

_Call = Callable[..., Any]


def count_graph_calls(call: _Call, namespaces: Iterable[MutableMapping[str, Any]]) -> int:
    """Make a call, and return how often it called a compiled graph.

    Args:
        call: makes the call.
        namespaces: the globals of every Python module with a compiled function.
    """
    __tracebackhide__ = True
    with GraphCalls(namespaces) as graphs:
        call()
    return graphs.count


class GraphCalls(AbstractContextManager["GraphCalls"]):
    """Counts the calls of every graph, those that are compiled inside the block included.

    Args:
        namespaces: the globals of every Python module with a compiled function.

    Attributes:
        count: number of calls so far.
    """

    def __init__(self, namespaces: Iterable[MutableMapping[str, Any]]) -> None:
        self.count = 0
        self._namespaces = list({id(one): one for one in namespaces}.values())
        self._exits = ExitStack()
        self._known: set[tuple[int, str]] = set()

    def __enter__(self) -> Self:
        for namespace in self._namespaces:
            self._watch(namespace)
        self._exits.enter_context(compilations_watched(self._watch_new))
        return self

    def __exit__(self, *exception: object) -> None:
        self._exits.close()

    def _watch_new(self, found: Compilation) -> None:
        self._watch(found.namespace)

    def _watch(self, namespace: MutableMapping[str, Any]) -> None:
        new = {name: value for name, value in namespace.items() if (id(namespace), name) not in self._known}
        self._known.update((id(namespace), name) for name in new)
        self._exits.enter_context(graphs_called_through([namespace], self._counted, names=new))

    def _counted(self, graph: _Call) -> _Call:
        def counted(*args: Any, **kwargs: Any) -> Any:
            self.count += 1
            return graph(*args, **kwargs)

        return counted
