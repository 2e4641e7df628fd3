"""`assert_optimizations_applied`: every optimization of a recipe is present in the pipeline."""

from typing import Any

from pytest_diffopt.api.calls import call_arguments, plain_call, subject_of
from pytest_diffopt.api.conclusion import conclude
from pytest_diffopt.api.outside_pytest import standing_alone
from pytest_diffopt.arguments import instance_of, require
from pytest_diffopt.errors import RecipeError
from pytest_diffopt.guards.applied import judge_applied
from pytest_diffopt.recipes.compilation import code_compiled_before
from pytest_diffopt.recipes.grammar import parse_recipe
from pytest_diffopt.recipes.recipe import Recipe, recipe_of
from pytest_diffopt.records import AppliedRecord
from pytest_diffopt.session.active_test import active_test

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
    require(instance_of(str, Recipe, hint='write recipe="bf16 + compile"').or_none(), recipe, _RECIPE_ARGUMENT)
    subject = subject_of(pipeline)
    if arguments:
        plain_call(pipeline, arguments)()
    owner = active_test().pipelines.log.owner_of(pipeline)
    with code_compiled_before(owner.compiled if owner else ()):
        states = _recipe_for(pipeline, recipe).verify(pipeline)
    record = AppliedRecord(subject=subject, optimizations=states)
    conclude(record, judge_applied(record))


def _recipe_for(pipeline: Any, recipe: "str | Recipe | None") -> Recipe:
    if isinstance(recipe, str):
        return parse_recipe(recipe)
    known = recipe or recipe_of(pipeline)
    if known is not None:
        return known
    if not active_test().recipe_text:
        msg = (
            f"no recipe names the optimizations of this {type(pipeline).__name__}: mark the test with "
            '@pytest.mark.diffopt(recipe="...") or pass recipe="..."'
        )
        raise RecipeError(msg)
    return parse_recipe(active_test().recipe_text)
