"""The one file that touches private names of torch; everything here is checked by `tests/unit/test_torch_private.py`.

Read in torch 2.11.0 and 2.13.0.
"""

import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from types import CodeType
from typing import Any

import torch
import torch._dynamo.eval_frame as _eval_frame
import torch._dynamo.exc as _exc
import torch._dynamo.utils as _dynamo_utils
import torch._functorch.config as _functorch_config
import torch._inductor.config as _inductor_config

#: What a graph break raises under `fullgraph=True`.
FullGraphError = _exc.Unsupported

# Dynamo keeps the metrics of the last 64 frames; a pipeline in regional compilation has more.
_METRICS_KEPT = 100_000


def compiled_code_count(code: CodeType) -> int:
    """Return how many compiled versions of a function Dynamo holds; each was made because the function ran."""
    return len(_eval_frame._debug_get_cache_entry_list(code))


def original_callable(compiled: Any) -> Any | None:
    """Return what `torch.compile` wrapped; None for something that it did not make."""
    return getattr(compiled, "_torchdynamo_orig_callable", None)


def is_compiled_module(module: Any) -> bool:
    """Tell whether `module.compile()` was called."""
    return getattr(module, "_compiled_call_impl", None) is not None


def compilation_metrics() -> Sequence[Any]:
    """Return Dynamo's own account of each frame that it compiled or gave up, oldest first."""
    return _dynamo_utils.get_compilation_metrics()


def graph_break_reasons() -> Sequence[Any]:
    """Return the reason of each place where a graph ended early, oldest first; emptied by `torch._dynamo.reset()`."""
    return _dynamo_utils.graph_break_reasons


@contextmanager
def every_compilation_kept() -> Iterator[None]:
    """Let Dynamo keep the metrics of more frames than the last 64."""
    before = _dynamo_utils._compilation_metrics.maxlen
    _dynamo_utils.set_compilation_metrics_limit(_METRICS_KEPT)
    try:
        yield
    finally:
        _dynamo_utils.set_compilation_metrics_limit(before or _dynamo_utils.DEFAULT_COMPILATION_METRICS_LIMIT)


@contextmanager
def trace_not_captured() -> Iterator[None]:
    """Keep torch's structured trace out of pytest's captured logs.

    pytest hangs its handlers on every logger that does not propagate, this one too. It writes thousands of empty DEBUG
    lines a compilation, printed under each failure, and torch prepares their payloads whenever it has any handler.
    Handlers of torch's own (`TORCH_TRACE`) stay.
    """
    trace = logging.getLogger("torch.__trace")
    strangers = [handler for handler in trace.handlers if not type(handler).__module__.startswith("torch.")]
    for handler in strangers:
        trace.removeHandler(handler)
    try:
        yield
    finally:
        for handler in strangers:
            trace.addHandler(handler)


def inductor_flags() -> dict[str, Any]:
    """Return every flag of Inductor with its value of now."""
    flags: dict[str, Any] = _inductor_config.get_config_copy()
    return flags


def inductor_flags_set(flags: Mapping[str, Any]) -> AbstractContextManager[object]:
    """Return a context in which Inductor's flags have other values."""
    context: AbstractContextManager[object] = _inductor_config.patch(dict(flags))
    return context


@contextmanager
def inductor_caches_on() -> Iterator[None]:
    """Let Inductor and AOTAutograd keep what they compile on disk and look there first."""
    with _inductor_config.patch(fx_graph_cache=True), _functorch_config.patch(enable_autograd_cache=True):
        yield


def flags_while_compiling(since_us: int) -> list[Mapping[str, Any]]:
    """Return Inductor's flags as Dynamo wrote them down at each compilation that started since a moment."""
    metrics = [one for one in compilation_metrics() if one.has_guarded_code and (one.start_time_us or 0) >= since_us]
    return [json.loads(one.inductor_config) for one in metrics if one.inductor_config]


def inner_dtypes(tensor: torch.Tensor) -> set[torch.dtype]:
    """Return the dtypes of the tensors that a wrapper subclass is made of; empty for a plain tensor."""
    flatten = getattr(tensor, "__tensor_flatten__", None)
    names = flatten()[0] if flatten else ()
    return {getattr(tensor, name).dtype for name in names}


def original_module(module: Any) -> Any | None:
    """Return the module that `torch.compile(module)` wrapped; None for one that it did not wrap."""
    return (
        vars(module).get("_modules", {}).get("_orig_mod") if isinstance(module, _eval_frame.OptimizedModule) else None
    )


def as_if_compiling() -> AbstractContextManager[None]:
    """Return a context in which `torch.compiler.is_compiling()` is true."""
    context: AbstractContextManager[None] = torch.compiler._compile_session_context()
    return context
