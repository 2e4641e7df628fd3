"""`assert_optimizations_applied`: every optimization of a recipe is present in the pipeline."""

from typing import TYPE_CHECKING, Any

from pytest_diffopt.api.asked_recipe import RECIPE, recipe_for
from pytest_diffopt.api.calls import call_arguments, plain_call, subject_of
from pytest_diffopt.api.conclusion import conclude
from pytest_diffopt.api.outside_pytest import standing_alone
from pytest_diffopt.arguments import require
from pytest_diffopt.guards.applied import judge_applied
from pytest_diffopt.recipes.compilation import code_compiled_before
from pytest_diffopt.records import AppliedRecord
from pytest_diffopt.session.active_test import active_test

if TYPE_CHECKING:
    from pytest_diffopt.recipes.recipe import Recipe

_RECIPE_ARGUMENT = "assert_optimizations_applied(recipe=...)"


@standing_alone
def assert_optimizations_applied(
    pipeline: Any, /, *args: Any, recipe: "str | Recipe | None" = None, **inputs: Any
) -> None:
    """Assert that every optimization of the pipeline's recipe is applied.

    The live pipeline is inspected; what was requested does not count.

    Args:
        pipeline: the pipeline.
        *args: with `inputs`, a call to make first, so that compiled code has run; one `PipelineInputs` may hold its
            keywords.
        recipe: the optimizations to look for; by default those that were applied to the pipeline, or those that the
            test's marker names.
        **inputs: keywords of that call.

    Raises:
        ProbeError: an argument has the wrong type.
        RecipeError: no recipe is given, applied or named by the marker.
    """
    __tracebackhide__ = True
    is_called = bool(args or inputs)
    arguments = call_arguments(
        pipeline, args, inputs, asserted_by="assert_optimizations_applied", own=("recipe",), is_called=is_called
    )
    require(RECIPE, recipe, _RECIPE_ARGUMENT)
    subject = subject_of(pipeline)
    if arguments:
        plain_call(pipeline, arguments)()
    owner = active_test().pipelines.log.owner_of(pipeline)
    with code_compiled_before(owner.compiled if owner else ()):
        states = recipe_for(pipeline, recipe).verify(pipeline)
    record = AppliedRecord(subject=subject, optimizations=states)
    conclude(record, judge_applied(record))
