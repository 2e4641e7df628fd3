"""Autotuning without GPU time: each candidate counts as equally fast, so that Inductor takes the first, its default."""

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

_EQUAL_MS = 1.0
_METHODS = ("benchmark_gpu", "benchmark_gpu_with_cuda_graph")


def install() -> None:
    """Have Inductor's benchmarks of GPU code run it once and return the same time; may be called again.

    Host time would choose at random, and each run would launch other kernels. A candidate that cannot be launched (more
    shared memory than the GPU has) still raises, and is not chosen. Candidates after the first that can be launched are
    not compiled: that takes most of the compilation of a large model.
    """
    from torch._inductor.runtime.benchmarking import benchmarker  # noqa: PLC0415 - only where code is compiled
    from torch._inductor.runtime.coordinate_descent_tuner import CoordescTuner  # noqa: PLC0415 - as above
    from torch._inductor.select_algorithm import AlgorithmSelectorCache  # noqa: PLC0415 - as above

    for kind in type(benchmarker).__mro__:
        for name in _METHODS:
            _replace(kind, name, _run_once)
    _replace(AlgorithmSelectorCache, "benchmark_choices", _first_only)
    _replace(CoordescTuner, "autotune", _starting_point_only)


def _replace(kind: type, name: str, replacement: Callable[[Any], Any]) -> None:
    method = vars(kind).get(name)
    if method is not None and not hasattr(method, "_diffopt_original"):
        replaced = replacement(method)
        replaced._diffopt_original = method  # noqa: SLF001 - marks it as replaced
        setattr(kind, name, replaced)


def _run_once(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def benchmark(self: Any, run: Callable[[], object], *args: Any, **kwargs: Any) -> float:
        del self, args, kwargs
        run()
        return _EQUAL_MS

    return benchmark


def _first_only(original: Any) -> Any:
    def benchmark_choices(cls: Any, choices: Sequence[Any], *args: Any, **kwargs: Any) -> dict[Any, float]:
        times_ms: dict[Any, float] = {}
        for choice in choices:
            if any(map(math.isfinite, times_ms.values())):
                times_ms[choice] = _EQUAL_MS
            else:
                times_ms |= original.__func__(cls, [choice], *args, **kwargs)
        return times_ms

    return classmethod(functools.wraps(original.__func__)(benchmark_choices))


def _starting_point_only(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def autotune(self: Any, measure: Callable[[Any], float], start: Any, start_ms: float | None = None) -> Any:
        time_ms = self.call_func(measure, start) if start_ms is None else start_ms
        return start if math.isfinite(time_ms) else original(self, measure, start, time_ms)

    return autotune
