"""The attention backend of diffusers is in every processor that takes one, and where none does it is refused."""

from typing import Any

import pytest

from pytest_diffopt.errors import RecipeError
from pytest_diffopt.pipelines.loading import build_pipeline
from pytest_diffopt.pipelines.registry import find_pipeline
from pytest_diffopt.pipelines.scale import Scale
from pytest_diffopt.recipes.attention_backend import AttentionBackend
from pytest_diffopt.recipes.grammar import parse_recipe
from tests.torch_state import torch_state

MATH = 'attention_backend(backend="_native_math")'


@pytest.fixture
def flux() -> Any:
    """Build a pipeline whose attention asks for a backend."""
    return build_pipeline(find_pipeline("flux"), Scale.TINY).pipeline


def test_every_processor_has_it(flux: Any) -> None:
    """The pipeline draws, and the default of every other model of the process is what it was."""
    before, recipe = torch_state(), parse_recipe(MATH)
    recipe.apply(flux)
    flux(**find_pipeline("flux").inputs(Scale.TINY))
    (state,) = recipe.verify(flux)

    assert (state.found, state.missing) == ("5 of 5 attention layers use _native_math", ())
    assert torch_state() == before


def test_one_that_was_not_set_is_missed(flux: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the processors use instead is said."""
    monkeypatch.setattr(AttentionBackend, "apply", lambda _self, _pipeline: None)
    recipe = parse_recipe(MATH)
    recipe.apply(flux)
    (state,) = recipe.verify(flux)

    assert state.found == "0 of 5 attention layers use _native_math"
    assert state.missing == ("5 of 5 attention layers of transformer use another: diffusers' default",)


def test_where_no_processor_takes_one_it_is_refused(pipeline: Any) -> None:
    """A UNet's layers call SDPA past it: nothing would change, silently."""
    with pytest.raises(RecipeError) as error:
        parse_recipe(MATH).apply(pipeline)

    assert str(error.value) == (
        "attention_backend would change nothing: no attention processor of unet takes a backend; "
        "for its layers there is sdpa(backend=...)"
    )


def test_a_backend_that_is_not_installed_is_refused(flux: Any) -> None:
    """With diffusers' own advice."""
    with pytest.raises(RecipeError) as error:
        parse_recipe('attention_backend(backend="sage")').apply(flux)

    assert str(error.value).startswith("attention_backend(backend='sage') cannot be used here: Sage Attention backend")


def test_an_unknown_backend_is_refused() -> None:
    """Before anything is built, with the nearest one."""
    with pytest.raises(RecipeError) as error:
        parse_recipe('attention_backend(backend="natve")')

    assert str(error.value).startswith(
        "unknown backend of attention_backend: 'natve' (did you mean 'native'?); known: "
    )
