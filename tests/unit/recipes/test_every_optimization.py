"""Each optimization is found after it is applied, is reported as missing if not, and restores torch's state."""

import warnings
from collections.abc import Iterator
from typing import Any

import pytest
import torch

from pytest_diffopt.errors import RecipeWarning
from pytest_diffopt.recipes.builtin import BUILTIN
from pytest_diffopt.recipes.grammar import parse_recipe
from pytest_diffopt.recipes.optimization import Optimization
from pytest_diffopt.recipes.recipe import Recipe
from pytest_diffopt.records import OptimizationState
from tests.optimization_cases import CASES, ELSEWHERE, Case
from tests.torch_state import torch_state
from tests.unit.tiny_pipelines import INPUTS

every_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.recipe)


@pytest.fixture(autouse=True)
def _forget_compiled_code() -> Iterator[None]:
    """Reset Dynamo: compiled code belongs to functions, so a test could find that of another test."""
    torch.compiler.reset()
    yield
    torch.compiler.reset()


def apply(recipe: Recipe, pipeline: Any) -> None:
    """Apply a recipe without its warnings about missing partners."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RecipeWarning)
        recipe.apply(pipeline)


def state_of(case: Case, recipe: Recipe, pipeline: Any) -> OptimizationState:
    """Return the state of the case's optimization."""
    states = recipe.verify(pipeline)
    return next(state for state in states if state.name.split("(")[0] == case.name)


@every_case
def test_an_applied_optimization_is_found(case: Case, pipeline: Any) -> None:
    """The pipeline draws, and `verify` finds the optimization everywhere."""
    recipe = parse_recipe(case.recipe)
    case.before(pipeline)
    apply(recipe, pipeline)
    images = pipeline(**INPUTS).images
    state = state_of(case, recipe, pipeline)

    assert (state.found, state.missing) == (case.found, ())
    assert images.shape == (1, 64, 64, 3)
    assert all(not one.missing for one in recipe.verify(pipeline))


@every_case
def test_an_optimization_without_effect_is_reported(case: Case, pipeline: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The recipe is not evidence; the state shows what the pipeline has instead."""
    recipe = parse_recipe(case.recipe)
    (kind,) = (type(one) for one in recipe.optimizations if one.name == case.name)
    monkeypatch.setattr(kind, "apply", lambda _optimization, _pipeline: None)
    monkeypatch.setattr(kind, "call_context", Optimization.call_context)
    case.before(pipeline)
    apply(recipe, pipeline)
    pipeline(**INPUTS)
    state = state_of(case, recipe, pipeline)

    assert (state.found, state.missing) == (case.found_without, case.missing)


@every_case
def test_global_state_is_restored(case: Case, pipeline: Any) -> None:
    """Applying, calling and verifying change no flag, backend, random state or environment variable."""
    case.before(pipeline)
    recipe = parse_recipe(case.recipe)
    before = torch_state()
    apply(recipe, pipeline)
    after_apply = torch_state()
    pipeline(**INPUTS)
    recipe.verify(pipeline)

    assert _changed(before, after_apply) == {}
    assert _changed(before, torch_state()) == {}


def test_every_optimization_has_a_case() -> None:
    """A new one needs a case, or an entry in `ELSEWHERE`."""
    assert {case.name for case in CASES} | ELSEWHERE == {kind.name for kind in BUILTIN}


def _changed(before: dict[str, Any], after: dict[str, Any]) -> dict[str, tuple[object, object]]:
    names = before.keys() | after.keys()
    return {name: (before.get(name), after.get(name)) for name in names if before.get(name) != after.get(name)}
