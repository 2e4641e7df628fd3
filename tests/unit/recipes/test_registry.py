"""Users can register optimizations for recipes; an invalid one is an error with the reason."""

from typing import Any

import pytest

from pytest_diffopt.errors import RecipeError
from pytest_diffopt.recipes import registry
from pytest_diffopt.recipes.grammar import parse_recipe
from pytest_diffopt.recipes.optimization import Optimization
from pytest_diffopt.recipes.registry import register_optimization, registered_optimizations
from pytest_diffopt.records import OptimizationState


class Whole(Optimization):
    """A complete user-defined optimization."""

    name = "whole"

    strength: float = 1.0

    def apply(self, pipeline: Any) -> None:
        """Mark the pipeline."""
        pipeline.strength = self.strength

    def verify(self, pipeline: Any) -> OptimizationState:
        """Return the mark."""
        return self.state(f"strength {pipeline.strength}")


@pytest.fixture(autouse=True)
def _nothing_stays_registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_KINDS", dict(registry._KINDS))


def refusal(kind: Any) -> str:
    """Register an invalid optimization and return the message."""
    with pytest.raises(RecipeError) as caught:
        register_optimization(kind)
    return str(caught.value)


def test_a_registered_optimization_can_be_used_in_recipes() -> None:
    """Its annotated attributes are keywords, and it comes before `compile`."""

    class Pipeline:
        """Any object."""

    register_optimization(Whole)
    pipeline, recipe = Pipeline(), parse_recipe("whole(strength=0.5) + compile")
    (whole, _) = recipe.optimizations
    whole.apply(pipeline)

    assert str(recipe) == "whole(strength=0.5) + compile"
    assert [*registered_optimizations()][-1] == "whole"
    assert whole.verify(pipeline).found == "strength 0.5"
    with pytest.raises(RecipeError, match="whole must come before compile"):
        parse_recipe("compile + whole")


def test_registering_again_replaces() -> None:
    """A conftest can be imported twice in a process."""
    register_optimization(Whole)

    assert register_optimization(Whole) is Whole


def test_a_taken_name_is_refused() -> None:
    """The name would be ambiguous."""

    class Mine(Whole):
        name = "bf16"

    assert refusal(Mine) == (
        "an optimization's name must be unique: 'bf16' is already pytest_diffopt.recipes.precision.Bf16"
    )


def test_a_name_that_is_not_an_identifier_is_refused() -> None:
    """A recipe is a Python expression."""

    class Mine(Whole):
        name = "my-own"

    assert refusal(Mine) == "an optimization's name must be a Python identifier, got: 'my-own' in Mine"


def test_an_incomplete_class_is_refused() -> None:
    """The message names the missing methods."""

    class Mine(Optimization):
        name = "mine"

    assert refusal(Mine) == "an optimization must define apply and verify, and Mine lacks apply and verify"


def test_something_else_is_refused() -> None:
    """Only a subclass of `Optimization` can be applied and verified."""
    assert refusal(3) == "register_optimization takes a subclass of pytest_diffopt.Optimization, got: 3"
