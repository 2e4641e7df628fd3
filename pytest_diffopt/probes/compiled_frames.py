"""One compilation by Dynamo as a record: its function, counts, failed guard and cache result."""

from dataclasses import replace
from typing import Any

from pytest_diffopt._torch_private.compile_watching import Compilation
from pytest_diffopt.probes.failed_guards import failed_guard
from pytest_diffopt.probes.generated_code import generated_code, joined_code
from pytest_diffopt.probes.graph_breaks import source_name
from pytest_diffopt.records import CacheResult, CompiledFrame
from pytest_diffopt.records.code_location import locate

_NS_PER_US = 1000
_NO_CUDA_GRAPHS = "torch gives no reason"


def compiled_frame(found: Compilation) -> CompiledFrame:
    """Return the record of a compilation."""
    code, metrics = found.code, found.metrics
    name = source_name(code.co_name)
    frame = CompiledFrame(
        region=code.co_qualname.removesuffix(code.co_name).replace("<locals>.", "") + name,
        where=locate(code.co_filename, code.co_firstlineno, name),
        compile_id=found.compile_id,
        operations=0,
        guards=0,
        is_compiled=False,
        compile_ns=0,
        is_resumed=name != code.co_name,
        hit_limit=found.hit_limit,
        argument_shapes=found.shapes,
    )
    if metrics is None:
        return frame
    return replace(
        frame,
        operations=metrics.graph_op_count or 0,
        guards=metrics.guard_count or 0,
        is_compiled=bool(metrics.has_guarded_code),
        compile_ns=(metrics.duration_us or 0) * _NS_PER_US,
        failed_guard=failed_guard(metrics.recompile_reason or "", code, found.value_of),
        cache=_cache(metrics),
        cuda_graphs_skipped=metrics.cudagraph_skip_reason or (_NO_CUDA_GRAPHS if found.skipped_cuda_graphs else ""),
        generated_kernels=found.inductor.get("generated_kernels", 0),
        external_calls=found.inductor.get("external_calls", 0),
        graph_partitions=found.inductor.get("graph_partitions", 0),
        code=joined_code(map(generated_code, found.modules)),
    )


def _cache(metrics: Any) -> CacheResult:
    """Return the cache result of a whole compilation: a miss of any part counts as a miss."""
    stores = ("inductor_fx_local_cache", "inductor_fx_remote_cache", "aotautograd_local_cache")
    if any(getattr(metrics, f"{store}_miss_count") for store in stores):
        return CacheResult.MISS
    is_hit = any(getattr(metrics, f"{store}_hit_count") for store in stores)
    return CacheResult.HIT if is_hit else CacheResult.NOT_USED
