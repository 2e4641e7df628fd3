"""How many operators run one by one between the graphs of what is compiled: those that Dynamo left out."""

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
_OPERATOR = "::"  # in the name of every operator: aten::mul


def with_eager_operators(
    record: CompilationRecord, target: Any, call: Callable[[], object], namespaces: Iterable[MutableMapping[str, Any]]
) -> CompilationRecord:
    """Return the record with the number of operators that were left out; where no graph broke, as it is.

    Args:
        record: what was compiled.
        target: the pipeline, module or compiled function.
        call: calls it; it is called once more, unless `fullgraph=True` ended it before.
        namespaces: the globals of every module in which something was compiled.
    """
    __tracebackhide__ = True
    left = any(one.kind is not BreakKind.READ_IN_THE_GRAPH for one in record.breaks)
    if record.ended_by_fullgraph or not (left or any(frame.hit_limit for frame in record.frames)):
        return record
    return replace(record, eager_operators=count_eager_operators(target, call, namespaces))


def count_eager_operators(
    target: Any, call: Callable[[], object], namespaces: Iterable[MutableMapping[str, Any]]
) -> int:
    """Call once more, and return how many operators ran inside what is compiled and outside of its graphs.

    Operators are counted as eager code calls them, not what those call in turn.

    Args:
        target: the pipeline, module or compiled function.
        call: calls it.
        namespaces: the globals of every module in which something was compiled.
    """
    with ExitStack() as stack:
        stack.enter_context(graphs_called_through(namespaces, _marking(_GRAPH)))
        for part in compiled_parts(target):
            stack.enter_context(part.replaced(lambda _path, compiled, _eager: _marking(_COMPILED)(compiled)))
        seen = stack.enter_context(profile(use_kineto=False))
        # A bare function cannot be replaced where it is called, but it is all that is called.
        _marking(_COMPILED)(call)() if original_callable(target) else call()
    return sum(map(_is_left_out, seen.function_events))


def _marking(name: str) -> Callable[[_Call], _Call]:
    def wrap(call: _Call) -> _Call:
        def marked(*args: Any, **kwargs: Any) -> Any:
            with record_function(name):
                return call(*args, **kwargs)

        return marked

    return wrap


def _is_left_out(event: Any) -> bool:
    if _OPERATOR not in event.name:
        return False
    callers = set()
    while event.cpu_parent is not None:
        event = event.cpu_parent
        callers.add(event.name)
    is_of_a_graph = bool(callers & {_GRAPH, *DYNAMOS_OWN_WORK})
    return _COMPILED in callers and not is_of_a_graph and not any(_OPERATOR in name for name in callers)
