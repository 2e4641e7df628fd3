"""`assert_optimizations_effective`: every optimization of a recipe does something in a call."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from pytest_diffopt.api.asked_recipe import RECIPE, recipe_for
from pytest_diffopt.api.calls import CallArguments, call_arguments, subject_of
from pytest_diffopt.api.conclusion import conclude
from pytest_diffopt.api.outside_pytest import standing_alone
from pytest_diffopt.arguments import TEXTS, ArgumentError, require
from pytest_diffopt.environment import capture_environment
from pytest_diffopt.errors import did_you_mean
from pytest_diffopt.guards.effects import judge_effects
from pytest_diffopt.probes.calls import failures_noted
from pytest_diffopt.probes.compile_failures import failures_explained
from pytest_diffopt.probes.effects import observe_call
from pytest_diffopt.recipes.effect_reading import work_of
from pytest_diffopt.recipes.recipe import Recipe
from pytest_diffopt.recipes.registry import registered_optimizations
from pytest_diffopt.records import CallEvidence, Concern, EffectRecord, Subject

_NAME = "assert_optimizations_effective"


@standing_alone
def assert_optimizations_effective(
    pipeline: Any,
    /,
    *args: Any,
    recipe: "str | Recipe | None" = None,
    allow_unseen: Sequence[str] = (),
    **inputs: Any,
) -> None:
    """Assert that every optimization of the pipeline's recipe has an effect in a call.

    The call is made, and what ran in it is counted: operations by dtype and kernel, modules that were called or
    skipped, compiled graphs, bytes that were moved. An optimization whose figure is zero fails.

    Without a GPU, optimizations of a GPU's memory are observed on the simulated GPU. If the recipe compiles, the call
    is made twice: the compiled code counts its graphs, and the eager code its operations.

    Args:
        pipeline: the pipeline.
        *args: with `inputs`, the call; one `PipelineInputs` may hold its keywords.
        recipe: the optimizations to judge; by default those that were applied to the pipeline, or those that the test's
            marker names.
        allow_unseen: names of optimizations that are judged only where their effect can be seen, such as `inductor`,
            which needs a GPU. Elsewhere they fail as unwatched.
        **inputs: keywords of the call.

    Raises:
        ProbeError: an argument has the wrong type.
        RecipeError: no recipe is given, applied or named by the marker.
    """
    __tracebackhide__ = True
    arguments = call_arguments(pipeline, args, inputs, asserted_by=_NAME, own=("recipe", "allow_unseen"))
    require(RECIPE, recipe, f"{_NAME}(recipe=...)")
    require_names(allow_unseen, _NAME)
    record = effects_of(pipeline, arguments, recipe_for(pipeline, recipe))
    conclude(record, judge_effects(record, allow_unseen=allow_unseen))


def effects_of(pipeline: Any, arguments: CallArguments, recipe: Recipe) -> EffectRecord:
    """Make one call of a pipeline, and return what each optimization of a recipe did in it.

    Raises:
        ProbeError: the pipeline never entered its denoise loop.
    """
    __tracebackhide__ = True
    subject = subject_of(pipeline)
    call = _observed(pipeline, arguments, recipe, subject)
    return EffectRecord(
        subject=replace(subject, recipe=subject.recipe or str(recipe)),
        num_steps=call.num_steps,
        operations=sum(one.count for one in work_of(call)),
        seen_by=_device_name(call, subject),
        effects=recipe.effects(pipeline, call),
    )


def _observed(pipeline: Any, arguments: CallArguments, recipe: Recipe, subject: Subject) -> CallEvidence:
    __tracebackhide__ = True
    on_simulated = recipe.acts_on_device_memory and not subject.device.is_gpu
    with failures_noted(pipeline, Concern.EFFECT, subject), failures_explained():
        return observe_call(pipeline, arguments.positional, arguments.keywords, on_simulated=on_simulated)


def _device_name(call: CallEvidence, subject: Subject) -> str:
    if call.device == "cpu":
        return "the CPU"
    return f"the {capture_environment(subject.device).device_name}" if subject.device.is_gpu else "the simulated GPU"


def require_names(names: Sequence[str], called: str) -> None:
    """Check that `allow_unseen` names optimizations.

    Args:
        names: the names.
        called: the function that takes them, for messages.

    Raises:
        ArgumentError: one of them is no registered optimization.
    """
    require(TEXTS, names, f"{called}(allow_unseen=...)")
    known = registered_optimizations()
    for name in names:
        if name not in known:
            hint = did_you_mean(name, known)
            msg = f"{called}(allow_unseen=...) must name optimizations, got: {name!r}{hint}"
            raise ArgumentError(msg)
