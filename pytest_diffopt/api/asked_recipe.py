"""The recipe that an assertion about optimizations judges."""

from typing import Any

from pytest_diffopt.arguments import Rule, instance_of
from pytest_diffopt.errors import RecipeError
from pytest_diffopt.recipes.grammar import parse_recipe
from pytest_diffopt.recipes.recipe import Recipe, recipe_of
from pytest_diffopt.session.active_test import active_test

#: Of the keyword `recipe` of an assertion.
RECIPE: Rule = instance_of(str, Recipe, hint='write recipe="bf16 + compile"').or_none()


def recipe_for(pipeline: Any, recipe: str | Recipe | None) -> Recipe:
    """Return the recipe that was passed, else the one that was applied, else the one that the test's marker names.

    Raises:
        RecipeError: there is none.
    """
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
