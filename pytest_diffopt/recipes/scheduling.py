"""Scheduler optimizations: another scheduler, and an explicit begin index."""

import copy
from dataclasses import dataclass, field
from typing import Any, ClassVar

import diffusers
from typing_extensions import override

from pytest_diffopt.errors import RecipeError, did_you_mean
from pytest_diffopt.recipes.optimization import Optimization, Stage
from pytest_diffopt.records import CallEvidence, OptimizationEffect, OptimizationState

_STEPS_TO_TRY = 4


@dataclass(frozen=True, kw_only=True)
class Scheduler(Optimization):
    """Another scheduler, built from the configuration of the pipeline's own.

    Attributes:
        use: a scheduler class of diffusers, as in `scheduler(use="DPMSolverMultistepScheduler")`.
        options: configuration values to override.
    """

    name: ClassVar[str] = "scheduler"
    stage: ClassVar[Stage] = Stage.SCHEDULER
    changes_image_by_design: ClassVar[bool] = True

    use: str = ""
    options: dict[str, bool | int | float | str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Reject a scheduler that diffusers does not have, before a pipeline is built."""
        known = [name for name in dir(diffusers) if name.endswith("Scheduler")]
        if self.use not in known:
            hint = did_you_mean(self.use, known)
            msg = f"scheduler(use=...) must name a scheduler of diffusers, got: {self.use!r}{hint}"
            raise RecipeError(msg)

    @override
    def apply(self, pipeline: Any) -> None:
        own = _scheduler_of(pipeline, self.name)
        kind = getattr(diffusers, self.use)
        made, unused = kind.from_config(own.config, return_unused_kwargs=True, **self.options)
        unknown = sorted(set(unused) & set(self.options))
        if unknown:
            msg = f"{self.use} has no option {unknown[0]!r}{did_you_mean(unknown[0], made.config)}"
            raise RecipeError(msg)
        pipeline.register_modules(scheduler=made)

    @override
    def verify(self, pipeline: Any) -> OptimizationState:
        found = _scheduler_of(pipeline, self.name)
        name = type(found).__name__
        missing = [] if name == self.use else [f"the scheduler is {name}"]
        missing += [
            f"{option} is {found.config.get(option)!r}"
            for option, value in self.options.items()
            if found.config.get(option) != value
        ]
        return self.state(f"the scheduler is {name}", missing)

    @override
    def effect(self, pipeline: Any, call: CallEvidence) -> OptimizationEffect:
        seen = call.scheduler
        steps = seen.steps if seen and seen.kind == self.use else 0
        return self.acted(f"steps of {self.use}", steps, lacking=() if steps else _steps_of_others(call))

    @override
    def _changed_fields(self) -> list[Any]:
        return [one for one in super()._changed_fields() if one.name != "options" or self.options]


@dataclass(frozen=True, kw_only=True)
class BeginIndex(Optimization):
    """`scheduler.set_begin_index(0)` in each call: without it some schedulers look up their first timestep on the GPU.

    A pipeline that sets its own index, such as image-to-image, keeps it.
    """

    name: ClassVar[str] = "begin_index"
    stage: ClassVar[Stage] = Stage.SCHEDULER

    @override
    def apply(self, pipeline: Any) -> None:
        scheduler = _scheduler_of(pipeline, self.name)
        if not hasattr(scheduler, "set_begin_index"):
            msg = f"begin_index needs a scheduler with set_begin_index(), and {type(scheduler).__name__} has none"
            raise RecipeError(msg)
        scheduler.__class__ = _beginning_at_zero(type(scheduler))

    @override
    def verify(self, pipeline: Any) -> OptimizationState:
        scheduler = _scheduler_of(pipeline, self.name)
        tried = copy.deepcopy(scheduler)
        # Pipelines compute mu from the image size; any value is valid here.
        shift = {"mu": 1.0} if tried.config.get("use_dynamic_shifting") else {}
        tried.set_timesteps(_STEPS_TO_TRY, **shift)
        index = getattr(tried, "begin_index", None)
        missing = [] if index == 0 else [f"{type(scheduler).__name__} begins at index {index} after set_timesteps()"]
        return self.state(f"{type(scheduler).__name__} begins at index {index}", missing)

    @override
    def effect(self, pipeline: Any, call: CallEvidence) -> OptimizationEffect:
        seen = call.scheduler
        figure = "steps without a search for the timestep"
        if seen is None or seen.begin_index is None:
            return self.acted(figure, 0, lacking=("the first step began without an index",))
        searched = (f"{seen.lookups} searches for a timestep",) if seen.lookups else ()
        return self.acted(figure, max(seen.steps - seen.lookups, 0), lacking=searched)


def _steps_of_others(call: CallEvidence) -> tuple[str, ...]:
    return (f"{call.scheduler.steps} steps of {call.scheduler.kind}",) if call.scheduler else ()


def _beginning_at_zero(kind: type) -> type:
    """Return a subclass whose `set_timesteps` also sets the begin index; saving needs the name of the original."""

    def set_timesteps(self: Any, *args: Any, **kwargs: Any) -> None:
        original: Any = kind
        original.set_timesteps(self, *args, **kwargs)
        self.set_begin_index(0)

    # diffusers inspects the parameters of this method.
    set_timesteps.__wrapped__ = kind.set_timesteps  # type: ignore[attr-defined]
    return type(kind.__name__, (kind,), {"set_timesteps": set_timesteps, "__module__": kind.__module__})


def _scheduler_of(pipeline: Any, name: str) -> Any:
    found = getattr(pipeline, "scheduler", None)
    if found is None:
        msg = f"{name} needs a pipeline with a scheduler, and {type(pipeline).__name__} has none"
        raise RecipeError(msg)
    return found
