"""CUDA graphs of compiled code: which compilations have one, and what kept others out."""

import re
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from enum import StrEnum
from importlib import import_module
from types import CodeType
from typing import Any

import torch
import torch._dynamo.eval_frame as _eval_frame
from torch import _guards

from pytest_diffopt._torch_private.replacing import replaced

_STACK_LINE = re.compile(r'File "(?P<path>[^"]+)", line (?P<line>\d+), in (?P<function>\S+)')


class GraphState(StrEnum):
    """What became of the CUDA graphs of one compilation.

    `RECORDED`: at least one was captured. `PENDING`: torch will capture one at the next call. `REFUSED`: torch runs the
    code without a graph, because it changes memory that the graph does not own.
    """

    RECORDED = "recorded"
    PENDING = "pending"
    REFUSED = "refused"


@dataclass(frozen=True, kw_only=True, slots=True)
class KeptOut:
    """Something that torch did not put into a CUDA graph.

    Attributes:
        reason: torch's reason.
        stack: the lines of Python that it came from, as (path, number, function), the outermost first; may be empty.
    """

    reason: str
    stack: tuple[tuple[str, int, str], ...] = ()


_kept_out: defaultdict[str, dict[KeptOut, None]] = defaultdict(dict)


def compile_ids(code: CodeType) -> frozenset[str]:
    """Return Dynamo's ids of the compilations of a function whose code is in use."""
    entries = _eval_frame._debug_get_cache_entry_list(code)
    return frozenset(str(entry.compile_id) for entry in entries)


def graph_states() -> dict[str, GraphState]:
    """Return the state of every compilation in this process that torch wrapped for CUDA graphs, by Dynamo's id."""
    manager = _manager()
    if manager is None or manager.roots is None:
        return {}
    recorded = {node.wrapped_function.id for node in _nodes(manager)}
    refused = {function for by_function in _refusals(manager) for function, is_one in by_function.items() if is_one}
    found: dict[str, GraphState] = {}
    for function, compile_id in manager.id_to_compile_id.items():
        state = GraphState.PENDING
        if function in recorded:
            state = GraphState.RECORDED
        elif function in refused:
            state = GraphState.REFUSED
        if found.get(str(compile_id)) is not GraphState.RECORDED:
            found[str(compile_id)] = state
    return found


def _refusals(manager: Any) -> Iterator[dict[Any, bool]]:
    """Yield whether each function was refused at each node; torch 2.15 gave the attribute another name."""
    before_2_15 = getattr(manager, "non_cudagraph_managed_mutation_hint", None)
    yield from (manager.skip_cudagraph if before_2_15 is None else before_2_15).values()


def kept_out(compile_id: str) -> tuple[KeptOut, ...]:
    """Return what was kept out of the CUDA graphs of a compilation, as `cuda_graphs_watched` noted it."""
    return tuple(_kept_out.get(compile_id, ()))


def forget_kept_out() -> None:
    """Discard what was noted."""
    _kept_out.clear()


@contextmanager
def cuda_graphs_watched() -> Iterator[None]:
    """Note what Inductor keeps out of CUDA graphs, and why, until `forget_kept_out` or Dynamo's next reset."""
    from torch._inductor import scheduler  # noqa: PLC0415 - slow to import, and loaded by Inductor anyway

    with ExitStack() as stack:
        stack.enter_context(replaced(scheduler.Scheduler, "should_partition", _watching_partitions))
        trees = import_module("torch._inductor.cudagraph_trees")
        stack.enter_context(replaced(trees, "reset_cudagraph_trees", _forgetting_at_reset))
        stack.enter_context(replaced(trees.CUDAGraphTreeManager, "__init__", _ignoring_the_empty_graph))
        for module in _loggers():
            stack.enter_context(replaced(module, "log_cudagraph_skip_and_bump_counter", _watching_skips))
        yield


def _loggers() -> list[Any]:
    """Return the modules that hold the function with which torch logs that it skips CUDA graphs."""
    names = ("compile_fx", "cudagraph_trees", "cudagraph_utils", "output_code")
    return [import_module(f"torch._inductor.{name}") for name in names]


def _watching_partitions(original: Callable[..., Any]) -> Callable[..., Any]:
    def should_partition(self: Any, node: Any, *args: Any, **kwargs: Any) -> Any:
        reason = original(self, node, *args, **kwargs)
        # A fused node asks for each of its parts, which are noted themselves.
        if reason and not hasattr(node, "snodes") and torch._inductor.config.triton.cudagraphs:
            _note(KeptOut(reason=str(reason), stack=_stack(_trace_of(node))))
        return reason

    return should_partition


def _watching_skips(original: Callable[..., Any]) -> Callable[..., Any]:
    def log_skip(message: str, *args: Any, **kwargs: Any) -> Any:
        reason, _, trace = str(message).removeprefix("skipping cudagraphs due to ").partition("Found from")
        _note(KeptOut(reason=reason.strip().rstrip("."), stack=_stack(trace)))
        return original(message, *args, **kwargs)

    return log_skip


def _forgetting_at_reset(original: Callable[..., Any]) -> Callable[..., Any]:
    def reset() -> None:
        forget_kept_out()  # Dynamo's ids start again
        original()

    return reset


def _ignoring_the_empty_graph(original: Callable[..., None]) -> Callable[..., None]:
    def init(self: Any, *args: Any, **kwargs: Any) -> None:
        # It keeps its memory pool alive by a graph of nothing, which torch warns of: with `-W error` no graph is made.
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="The CUDA Graph is empty")
            original(self, *args, **kwargs)

    return init


def _note(found: KeptOut) -> None:
    _kept_out[str(_guards.CompileContext.current_compile_id() or "")][found] = None


def _trace_of(node: Any) -> str:
    origin = node.node.get_origin_node() if node.node is not None else None
    return str(origin.meta.get("stack_trace") or "") if origin is not None else ""


def _stack(trace: str) -> tuple[tuple[str, int, str], ...]:
    return tuple((found["path"], int(found["line"]), found["function"]) for found in _STACK_LINE.finditer(trace))


def _manager() -> Any:
    is_initialized: Callable[[], bool] = torch.cuda.is_initialized
    if not is_initialized():
        return None
    from torch._inductor import cudagraph_trees as trees  # noqa: PLC0415 - slow to import, and only needed on a GPU

    try:
        return trees.get_manager(torch.cuda.current_device(), create_if_none_exists=False)
    except AttributeError:  # this thread never compiled anything
        return None


def _nodes(manager: Any) -> Iterator[Any]:
    waiting = [node for nodes in manager.roots.values() for node in nodes]
    while waiting:
        node = waiting.pop()
        yield node
        waiting += [child for children in node.children.values() for child in children]
