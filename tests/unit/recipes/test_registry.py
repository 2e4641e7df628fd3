"""Users' optimizations are recipes' words like ours, or are refused with the rule that they break."""

from typing import Any

import pytest

from pytest_diffopt.errors import RecipeError
from pytest_diffopt.recipes import registry
from pytest_diffopt.recipes.grammar import known_optimizations, parse_recipe
from pytest_diffopt.recipes.optimization import Optimization
from pytest_diffopt.recipes.registry import register_optimization
from pytest_diffopt.records import OptimizationState


class Whole(Optimization):
    """An optimization of a user's, complete."""

    name = "whole"

    strength: float = 1.0

    def apply(self, pipeline: Any) -> None:
        """Mark the pipeline."""
        pipeline.strength = self.strength

    def verify(self, pipeline: Any) -> OptimizationState:
        """Look at the mark."""
        return self.state(f"strength {pipeline.strength}")


@pytest.fixture(autouse=True)
def _nothing_stays_registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_KINDS", dict(registry._KINDS))


def refusal(kind: Any) -> str:
    """Register what cannot be, and return the message."""
    with pytest.raises(RecipeError) as caught:
        register_optimization(kind)
    return str(caught.value)


def test_a_registered_optimization_is_a_word_of_recipes() -> None:
    """With its annotated attributes as keywords, before `compile` in the order."""

    class Pipeline:
        """Anything."""

    register_optimization(Whole)
    pipeline, recipe = Pipeline(), parse_recipe("whole(strength=0.5) + compile")
    (whole, _) = recipe.optimizations
    whole.apply(pipeline)

    assert str(recipe) == "whole(strength=0.5) + compile"
    assert known_optimizations()[-1] == "whole"
    assert whole.verify(pipeline).found == "strength 0.5"
    with pytest.raises(RecipeError, match="whole must stand before compile"):
        parse_recipe("compile + whole")


def test_registering_again_replaces() -> None:
    """A conftest may be imported twice in a process."""
    register_optimization(Whole)

    assert register_optimization(Whole) is Whole


def test_a_taken_name_is_refused() -> None:
    """Nobody could tell the two apart."""

    class Mine(Whole):
        name = "bf16"

    assert refusal(Mine) == (
        "an optimization's name must be its own: 'bf16' is pytest_diffopt.recipes.precision.Bf16 already"
    )


def test_a_name_that_no_recipe_could_write_is_refused() -> None:
    """A recipe is a Python expression."""

    class Mine(Whole):
        name = "my-own"

    assert refusal(Mine) == "an optimization's name must be one that Python could give, got: 'my-own' in Mine"


def test_an_incomplete_class_is_refused() -> None:
    """What it lacks is named."""

    class Mine(Optimization):
        name = "mine"

    assert refusal(Mine) == "an optimization needs apply and verify, and Mine lacks apply and verify"


def test_something_else_is_refused() -> None:
    """Only a subclass of `Optimization` can be applied and verified."""
    assert refusal(3) == "register_optimization takes a subclass of pytest_diffopt.Optimization, got: 3"
