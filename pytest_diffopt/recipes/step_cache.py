"""What the step caches of diffusers have in common: `denoiser.enable_cache(config)`, its verification and its hits."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import diffusers
from typing_extensions import override

from pytest_diffopt.errors import RecipeError
from pytest_diffopt.pipelines.components import denoiser_names, denoisers_of
from pytest_diffopt.recipes.cache_hooks import CONTEXT, opens_context
from pytest_diffopt.recipes.effect_reading import summed
from pytest_diffopt.recipes.optimization import Optimization, Stage
from pytest_diffopt.records import TAKEN_FROM_CACHE, CallEvidence, ModuleCalls, OptimizationEffect, OptimizationState

#: Why two step caches contradict each other.
ONE_CACHE = "a denoiser has one step cache"
_FULLGRAPH = (
    "diffusers excludes its decision from compilation, which breaks the graph in every block: drop fullgraph=True"
)


@dataclass(frozen=True, kw_only=True)
class StepCache(Optimization):
    """A cache of diffusers, enabled by `denoiser.enable_cache(config)`."""

    stage: ClassVar[Stage] = Stage.STEP_CACHE
    #: The name of diffusers' configuration.
    config_name: ClassVar[str]
    #: Whether its state is kept by context, so that the pipeline must open `cache_context` around each denoiser call.
    needs_context: ClassVar[bool] = True
    #: Whether all calls of a denoiser have one state, so that a step must call it once.
    shares_state: ClassVar[bool] = False
    #: Whether it reads `pipeline.current_timestep`.
    needs_timestep: ClassVar[bool] = False
    #: Whether `torch.compile(fullgraph=True)` raises, because diffusers disables compilation of the decision.
    breaks_graphs: ClassVar[bool] = True

    @override
    def clash(self, other: Optimization) -> str:
        if isinstance(other, StepCache) and other is not self:
            return ONE_CACHE
        return _FULLGRAPH if self.breaks_graphs and getattr(other, "fullgraph", False) else super().clash(other)

    @override
    def apply(self, pipeline: Any) -> None:
        _require_context(self, pipeline)
        for name, denoiser in denoisers_of(pipeline).items():
            if not callable(getattr(denoiser, "enable_cache", None)):
                msg = f"{self.name} needs enable_cache(), and {name} ({type(denoiser).__name__}) has none"
                raise RecipeError(msg)
            self._enable(pipeline, name, denoiser)

    def _enable(self, pipeline: Any, name: str, denoiser: Any) -> None:
        try:
            denoiser.enable_cache(self._config(pipeline))
        except (ValueError, TypeError) as error:
            msg = f"{self.name} cannot be enabled on {name} ({type(denoiser).__name__}): {error}"
            raise RecipeError(msg) from error

    @override
    def verify(self, pipeline: Any) -> OptimizationState:
        found = {name: getattr(one, "_cache_config", None) for name, one in denoisers_of(pipeline).items()}
        missing = [
            f"{name} has {'no step cache' if config is None else type(config).__name__}"
            for name, config in found.items()
            if type(config).__name__ != self.config_name
        ]
        return self.state(f"{len(found) - len(missing)} of {len(found)} denoisers have {self.config_name}", missing)

    @override
    def effect(self, pipeline: Any, call: CallEvidence) -> OptimizationEffect:
        own = [one for one in call.modules if one.component in denoiser_names(pipeline)]
        sums = summed([one for one in own if one.skipped], call, lambda one: int(one.skipped))
        contexts = {one.context for one in own if one.step is not None}
        lacking = [*_contexts_without_hits(sums, contexts)]
        if self.shares_state and sums["value"]:
            lacking += _calls_that_share_state(own)
        return self.acted(TAKEN_FROM_CACHE, **sums, lacking=tuple(lacking))

    def _config(self, pipeline: Any) -> Any:
        arguments = self._arguments()
        if self.needs_timestep:
            arguments["current_timestep_callback"] = lambda: pipeline.current_timestep
        return getattr(diffusers, self.config_name)(**arguments)

    def _arguments(self) -> dict[str, Any]:
        raise NotImplementedError


def _require_context(optimization: StepCache, pipeline: Any) -> None:
    name = type(pipeline).__name__
    if optimization.needs_context and not opens_context(type(pipeline)):
        msg = (
            f"{optimization.name} needs a pipeline that opens denoiser.{CONTEXT}(...) around each call of its "
            f"denoiser, and {name} never does"
        )
        raise RecipeError(msg)
    if optimization.needs_timestep and not hasattr(type(pipeline), "current_timestep"):
        msg = f"{optimization.name} needs pipeline.current_timestep, and {name} has none"
        raise RecipeError(msg)


def _calls_that_share_state(calls: Iterable[ModuleCalls]) -> Iterator[str]:
    """Yield each denoiser that a step calls for two halves: one is given what was computed for the other."""
    in_step = Counter[tuple[str, int]]()
    for one in calls:
        if one.step is not None and one.module == one.component:
            in_step[one.component, one.step] += one.count
    most: dict[str, int] = {}
    for (name, _step), count in in_step.items():
        most[name] = max(count, most.get(name, 0))
    for name, count in most.items():
        if count > 1:
            yield f"{count} calls of {name} in a step share one state, and use what the others computed"


def _contexts_without_hits(sums: Mapping[str, Any], contexts: Sequence[str] | set[str]) -> Iterator[str]:
    steps: Mapping[str, tuple[int, ...]] = sums["per_step"]
    for context in sorted(contexts):
        if sums["value"] and not any(steps.get(context, ())):
            yield f"nothing was taken from the cache in context {context!r}" if context else "no context was open"
