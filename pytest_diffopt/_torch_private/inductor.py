"""Inductor's flags and caches, and the flags that were set at each compilation."""

import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any

import torch._dynamo.utils as _dynamo_utils
import torch._functorch.config as _functorch_config
import torch._inductor.config as _inductor_config


def inductor_flags() -> dict[str, Any]:
    """Return the current value of each Inductor flag."""
    flags: dict[str, Any] = _inductor_config.get_config_copy()
    return flags


def inductor_flags_set(flags: Mapping[str, Any]) -> AbstractContextManager[object]:
    """Return a context in which these Inductor flags are set."""
    context: AbstractContextManager[object] = _inductor_config.patch(dict(flags))
    return context


def inductor_totals() -> dict[str, int]:
    """Return what Inductor generated in this process so far; also what it loaded from its cache.

    Returns:
        `generated_kernels`, `external_calls` (of libraries and of torch's own kernels) and `graph_partitions`.
    """
    metrics = sys.modules.get("torch._inductor.metrics")
    counters = _dynamo_utils.counters["inductor"]
    return {
        "generated_kernels": int(getattr(metrics, "generated_kernel_count", 0)),
        "external_calls": int(counters["extern_calls"]),
        "graph_partitions": int(counters["cudagraph_partitions"]),
    }


@dataclass(frozen=True, kw_only=True)
class CacheTotals:
    """The compiled graphs of this process that the caches had, and those that they lacked.

    Attributes:
        hits: graphs that were loaded.
        misses: graphs that Inductor compiled.
    """

    hits: int
    misses: int


def cache_totals() -> CacheTotals:
    """Return how often the caches of Inductor and AOTAutograd had a compiled graph so far."""
    of_graphs, of_autograd = _dynamo_utils.counters["inductor"], _dynamo_utils.counters["aot_autograd"]
    # A hit of AOTAutograd's cache loads its graph from Inductor's, which counts it again.
    hits = max(of_graphs["fxgraph_cache_hit"], of_autograd["autograd_cache_hit"])
    return CacheTotals(hits=int(hits), misses=int(of_graphs["fxgraph_cache_miss"]))


@contextmanager
def inductor_caches_on() -> Iterator[None]:
    """Enable the on-disk caches of Inductor and AOTAutograd."""
    with _inductor_config.patch(fx_graph_cache=True), _functorch_config.patch(enable_autograd_cache=True):
        yield


def flags_while_compiling(since_us: int, *, by_inductor: bool = False) -> list[Mapping[str, Any]]:
    """Return Inductor's flags, as Dynamo recorded them, at each compilation that started since a time.

    Args:
        since_us: microseconds since the epoch.
        by_inductor: return those compilations only in which Inductor generated code or found it in its cache.
    """
    kept = _dynamo_utils.get_compilation_metrics()  # the last 64 compilations
    metrics = [one for one in kept if one.has_guarded_code and (one.start_time_us or 0) >= since_us]
    chosen = [one for one in metrics if not by_inductor or one.inductor_cumulative_compile_time_us]
    return [json.loads(one.inductor_config) for one in chosen if one.inductor_config]
