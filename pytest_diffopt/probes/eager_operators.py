"""Number of operators that run eagerly between the graphs of compiled code."""

from collections.abc import Callable, Iterable, MutableMapping
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

from torch.autograd.profiler import profile, record_function

from pytest_diffopt._torch_private.compiled_code import original_callable
from pytest_diffopt._torch_private.compiled_graphs import DYNAMOS_OWN_WORK, graphs_called_through
from pytest_diffopt.probes.compiled_modules import compiled_parts
from pytest_diffopt.records import BreakKind, CompilationRecord

_Call = Callable[..., Any]
_COMPILED, _GRAPH = "pytest-diffopt: compiled", "pytest-diffopt: graph"
_OPERATOR = "::"  # part of every operator's name, as in aten::mul


def with_eager_operators(
    record: CompilationRecord, target: Any, call: Callable[[], object], namespaces: Iterable[MutableMapping[str, Any]]
) -> CompilationRecord:
    """Return the record with the number of eager operators; without a graph break, return it unchanged.

    Args:
        record: the observed compilations.
        target: the pipeline, module or compiled function.
        call: calls it; called once more, unless `fullgraph=True` ended the call of the record.
        namespaces: the globals of every Python module with a compiled function.
    """
    __tracebackhide__ = True
    has_break = any(one.kind is not BreakKind.READ_IN_THE_GRAPH for one in record.breaks)
    if record.ended_by_fullgraph or not (has_break or any(frame.hit_limit for frame in record.frames)):
        return record
    return replace(record, eager_operators=count_eager_operators(target, call, namespaces))


def count_eager_operators(
    target: Any, call: Callable[[], object], namespaces: Iterable[MutableMapping[str, Any]]
) -> int:
    """Call once, and return the number of operators that ran inside compiled parts but outside of their graphs.

    Only operators that eager code calls directly are counted, not operators called by other operators.

    Args:
        target: the pipeline, module or compiled function.
        call: calls it.
        namespaces: the globals of every Python module with a compiled function.
    """
    with ExitStack() as stack:
        stack.enter_context(graphs_called_through(namespaces, _marking(_GRAPH)))
        for part in compiled_parts(target):
            stack.enter_context(part.replaced(lambda _path, compiled, _eager: _marking(_COMPILED)(compiled)))
        seen = stack.enter_context(profile(use_kineto=False))
        # A bare function cannot be replaced at its call site; the whole call is its call.
        _marking(_COMPILED)(call)() if original_callable(target) else call()
    return sum(map(_is_eager_operator, seen.function_events))


def _marking(name: str) -> Callable[[_Call], _Call]:
    def wrap(call: _Call) -> _Call:
        def marked(*args: Any, **kwargs: Any) -> Any:
            with record_function(name):
                return call(*args, **kwargs)

        return marked

    return wrap


def _is_eager_operator(event: Any) -> bool:
    if _OPERATOR not in event.name:
        return False
    callers = set()
    while event.cpu_parent is not None:
        event = event.cpu_parent
        callers.add(event.name)
    is_in_graph = bool(callers & {_GRAPH, *DYNAMOS_OWN_WORK})
    return _COMPILED in callers and not is_in_graph and not any(_OPERATOR in name for name in callers)
