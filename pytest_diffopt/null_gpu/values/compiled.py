"""Values of what Inductor compiled: the graph that it was given is evaluated on the CPU after each call.

The generated kernels are compiled and launched, and not judged: the values are those of the graph that Dynamo captured.
"""

import copy
import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from pytest_diffopt.null_gpu.values import autotuning
from pytest_diffopt.null_gpu.values.active import active_engine
from pytest_diffopt.null_gpu.values.dispatch_key import excluded
from pytest_diffopt.null_gpu.values.engine import Engine
from pytest_diffopt.null_gpu.values.host_calls import HostCall, host_kwargs, host_views, leaves, on_host
from pytest_diffopt.null_gpu.values.missing import Origin, calling_line
from pytest_diffopt.null_gpu.values.torch_internals import is_plain

_NAME = "a compiled graph"


class _OnHost(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Has every operation run on the CPU, on host views of what is on the GPU."""

    def __torch_dispatch__(
        self,
        func: Any,
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        del types
        return func(*on_host(args), **host_kwargs(kwargs or {}))


def install() -> None:
    """Have Inductor's compiled graphs compute values while an engine is active; may be called again."""
    wrapper: Any = torch._TorchCompileInductorWrapper  # noqa: SLF001 - what torch.compile calls Inductor by
    if not hasattr(wrapper.__call__, "__wrapped__"):
        wrapper.__call__ = _with_reference(wrapper.__call__)


def _with_reference(compile_graph: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(compile_graph)
    def compile_with_reference(backend: Any, graph: torch.fx.GraphModule, inputs: Sequence[Any]) -> Any:
        autotuning.install()
        # Inductor rewrites the graph that it is given
        reference = torch.fx.GraphModule(graph, copy.deepcopy(graph.graph))
        return _computed_beside(compile_graph(backend, graph, inputs), reference)

    return compile_with_reference


def _computed_beside(compiled: Callable[..., Any], reference: torch.fx.GraphModule) -> Callable[..., Any]:
    def run(*args: Any) -> Any:
        engine = active_engine()
        if engine is None:
            return compiled(*args)
        engine.report.has_compiled_graphs = True
        with engine.computing_later():  # Inductor's library calls are operations, whose work may be learned
            result = compiled(*args)
        with excluded():
            _compute(engine, reference, args, result)
        return result

    return run


def _compute(engine: Engine, reference: torch.fx.GraphModule, args: tuple[Any, ...], result: Any) -> None:
    outputs = _cuda_tensors(result)
    origin = _why_not(engine, (*_cuda_tensors(args), *outputs))
    if origin is None:
        call = HostCall(function=_evaluate, args=(reference, on_host(args)), kwargs={}, outputs=host_views(result))
        engine.finish(_NAME, origin, call, written=outputs)
    else:
        engine.finish(_NAME, origin, None, written=outputs)


def _evaluate(reference: torch.fx.GraphModule, args: tuple[Any, ...]) -> Any:
    with torch.no_grad(), _OnHost():  # type: ignore[no-untyped-call]
        return reference(*args)


def _why_not(engine: Engine, tensors: tuple[torch.Tensor, ...]) -> Origin | None:
    for tensor in tensors:
        origin = engine.missing.origin(tensor)
        if origin is not None:
            return origin
    if any(tensor.numel() * tensor.element_size() > engine.limit_bytes for tensor in tensors):
        return Origin(operation=_NAME, location=calling_line(), reason="its tensors are too large")
    return None


def _cuda_tensors(value: Any) -> tuple[torch.Tensor, ...]:
    found = (leaf for leaf in leaves(value) if isinstance(leaf, torch.Tensor) and leaf.is_cuda)
    return tuple(inner for tensor in found for inner in _memory_of(tensor))


def _memory_of(tensor: torch.Tensor) -> Iterator[torch.Tensor]:
    """Yield a tensor, or the tensors that a wrapper holds."""
    if is_plain(tensor):
        yield tensor
        return
    wrapper: Any = tensor
    for name in wrapper.__tensor_flatten__()[0]:
        yield from _memory_of(getattr(wrapper, name))
