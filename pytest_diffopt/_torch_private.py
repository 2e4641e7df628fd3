"""The one file that touches private names of torch; everything here is checked by `tests/unit/test_torch_private.py`.

Read in torch 2.11.0 and 2.13.0.
"""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import CodeType
from typing import Any

import torch._dynamo.eval_frame as _eval_frame
import torch._dynamo.exc as _exc
import torch._dynamo.utils as _dynamo_utils

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
