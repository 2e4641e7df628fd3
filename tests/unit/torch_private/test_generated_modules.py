"""The modules that Inductor generates: torch's names, and what is read of a kernel that is loaded."""

from types import SimpleNamespace

import pytest
from torch._inductor import lowering, output_code
from torch._inductor.codecache import PyCodeCache
from torch._inductor.output_code import CompiledFxGraph
from torch._inductor.runtime.benchmarking import benchmarker

from pytest_diffopt._torch_private.generated_modules import (
    GeneratedModule,
    LoadedKernel,
    generated_modules_watched,
)


@pytest.mark.parametrize(
    ("module", "name"),
    [
        (output_code, "CompiledFxGraph"),
        (CompiledFxGraph, "post_compile"),
        (PyCodeCache, "modules"),
        (lowering, "fallbacks"),
        (benchmarker, "benchmark_gpu"),
    ],
)
def test_every_private_name_is_there(module: object, name: str) -> None:
    """In the installed torch."""
    assert hasattr(module, name)
    assert {"source_code", "cache_key"} <= set(CompiledFxGraph.__annotations__)


def test_modules_are_reported_with_their_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of several configurations the first one counts; a kernel that is not loaded yet has no figures."""
    launcher = SimpleNamespace(n_regs=40, n_spills=2, shared=64, config=SimpleNamespace(num_warps=4))
    loaded = SimpleNamespace(inductor_meta={}, launchers=[launcher, launcher], compile_results=[])
    pending = SimpleNamespace(inductor_meta={}, launchers=[], compile_results=[1, 2, 3])
    module = SimpleNamespace(key="abc", triton_poi_0=loaded, triton_red_1=pending, helper=len)
    monkeypatch.setattr(PyCodeCache, "modules", [SimpleNamespace(key="other"), module])
    monkeypatch.setattr(CompiledFxGraph, "post_compile", lambda *_: None)
    found: list[GeneratedModule] = []
    graph = SimpleNamespace(source_code="source", cache_key="abc")

    with generated_modules_watched(found.append):
        CompiledFxGraph.post_compile(graph, [], None, None)  # type: ignore[arg-type]
    CompiledFxGraph.post_compile(graph, [], None, None)  # type: ignore[arg-type]

    (seen,) = found
    assert seen.source == "source"
    assert seen.kernels == {
        "triton_poi_0": LoadedKernel(candidates=2, registers=40, shared_bytes=64, spilled_bytes=8, warps=4),
        "triton_red_1": LoadedKernel(candidates=3),
    }
    assert any(operator.startswith("aten.") and operator.count(".") == 2 for operator in seen.fallbacks)
