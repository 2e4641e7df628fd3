"""cache-dit's step cache (DBCache), by its own adapters for the pipelines of diffusers."""

from collections import Counter
from dataclasses import dataclass, replace
from importlib import import_module
from importlib.util import find_spec
from typing import Any, ClassVar

import torch
from typing_extensions import override

from pytest_diffopt.errors import RecipeError
from pytest_diffopt.pipelines.components import denoisers_of
from pytest_diffopt.recipes.effect_reading import summed
from pytest_diffopt.recipes.optimization import Optimization, Stage
from pytest_diffopt.recipes.step_cache import ONE_CACHE, StepCache
from pytest_diffopt.records import TAKEN_FROM_CACHE, CallEvidence, ModuleCalls, OptimizationEffect, OptimizationState

_PACKAGE = "cache_dit"
_FULLGRAPH = "cache-dit decides on the host in each step, which breaks the graph: drop fullgraph=True"


@dataclass(frozen=True, kw_only=True)
class CacheDit(Optimization):
    """`cache_dit.enable_cache(pipeline, ...)`: the blocks in the middle are skipped while the first hardly changed.

    cache-dit replaces `__call__` of the pipeline's class. The pipeline gets a class of its own before, so that other
    pipelines are as they were.

    Attributes:
        first: the blocks at the start that every step computes, and whose change decides.
        last: the blocks at the end that every step computes.
        warmup: the steps at the start that are computed in full.
        threshold: the mean relative change of the first blocks' residual below which the others are skipped.
    """

    name: ClassVar[str] = "cache_dit"
    stage: ClassVar[Stage] = Stage.STEP_CACHE

    first: int = 8
    last: int = 0
    warmup: int = 8
    threshold: float = 0.08

    def __post_init__(self) -> None:
        """Refuse a cache without a block that decides, before a pipeline is built."""
        if self.first < 1:
            msg = f"cache_dit(first=...) must be at least 1, got: {self.first}"
            raise RecipeError(msg)

    @override
    def clash(self, other: Optimization) -> str:
        if isinstance(other, StepCache):
            return ONE_CACHE
        return _FULLGRAPH if getattr(other, "fullgraph", False) else super().clash(other)

    @override
    def why_unavailable(self, device: torch.device) -> str:
        return "" if find_spec(_PACKAGE) else "needs cache-dit, which is not installed: pip install cache-dit"

    @override
    def apply(self, pipeline: Any) -> None:
        library: Any = import_module(_PACKAGE)
        kind = type(pipeline)
        pipeline.__class__ = type(kind.__name__, (kind,), {"__module__": kind.__module__})
        config = library.DBCacheConfig(
            Fn_compute_blocks=self.first,
            Bn_compute_blocks=self.last,
            max_warmup_steps=self.warmup,
            residual_diff_threshold=self.threshold,
        )
        try:
            library.enable_cache(pipeline, cache_config=config)
        except Exception as error:
            pipeline.__class__ = kind
            msg = f"cache_dit cannot be enabled on {kind.__name__}: {type(error).__name__}: {error}"
            raise RecipeError(msg) from error

    @override
    def verify(self, pipeline: Any) -> OptimizationState:
        denoisers = denoisers_of(pipeline)
        missing = [f"cache-dit is not enabled on {name}" for name, one in denoisers.items() if not _is_cached(one)]
        return self.state(f"cache-dit is enabled on {len(denoisers) - len(missing)} of {len(denoisers)}", missing)

    @override
    def effect(self, pipeline: Any, call: CallEvidence) -> OptimizationEffect:
        saved = [one for name, module in denoisers_of(pipeline).items() for one in _saved(name, module, call)]
        return self.acted(TAKEN_FROM_CACHE, **summed(saved, call))


def _is_cached(denoiser: torch.nn.Module) -> bool:
    return bool(getattr(denoiser, "_is_cached", False))


def _saved(name: str, denoiser: torch.nn.Module, call: CallEvidence) -> list[ModuleCalls]:
    """Return the calls that the blocks of a denoiser lack: each call of the denoiser has one of each block."""
    blocks = _blocks(name, denoiser, call)
    run = Counter[tuple[int | None, str]]()
    for one in call.modules:
        if one.module in blocks:
            run[one.step, one.context] += one.count
    whole = [one for one in call.modules if one.module == name and one.step is not None]
    return [replace(one, count=one.count * len(blocks) - run[one.step, one.context]) for one in whole]


def _blocks(name: str, denoiser: torch.nn.Module, call: CallEvidence) -> frozenset[str]:
    """Return the paths of the blocks in a denoiser's lists that were called at least once."""
    lists = [part for part, child in denoiser.named_children() if isinstance(child, torch.nn.ModuleList)]
    called = {one.module for one in call.modules}
    paths = {f"{name}.{part}.{number}" for part in lists for number in range(len(getattr(denoiser, part)))}
    return frozenset(paths & called)
