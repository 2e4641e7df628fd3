"""The attention backend is set in every processor, and rejected if no processor accepts one."""

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
    """Build a pipeline whose attention processors accept a backend."""
    return build_pipeline(find_pipeline("flux"), Scale.TINY).pipeline


def test_every_processor_has_it(flux: Any) -> None:
    """The pipeline draws, and diffusers' default backend does not change."""
    before, recipe = torch_state(), parse_recipe(MATH)
    recipe.apply(flux)
    flux(**find_pipeline("flux").inputs(Scale.TINY))
    (state,) = recipe.verify(flux)

    assert (state.found, state.missing) == ("5 of 5 attention layers use _native_math", ())
    assert torch_state() == before


def test_a_missing_backend_is_reported(flux: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The state names the backend in use."""
    monkeypatch.setattr(AttentionBackend, "apply", lambda _self, _pipeline: None)
    recipe = parse_recipe(MATH)
    recipe.apply(flux)
    (state,) = recipe.verify(flux)

    assert state.found == "0 of 5 attention layers use _native_math"
    assert state.missing == ("5 of 5 attention layers of transformer use diffusers' default",)


def test_a_pipeline_whose_processors_accept_no_backend_is_refused(pipeline: Any) -> None:
    """A UNet's layers call SDPA directly, so the backend would silently have no effect."""
    with pytest.raises(RecipeError) as error:
        parse_recipe(MATH).apply(pipeline)

    assert str(error.value) == (
        "attention_backend has no effect: no attention processor of unet accepts a backend; use sdpa(backend=...)"
    )


def test_a_backend_that_is_not_installed_is_refused(flux: Any) -> None:
    """The message includes diffusers' own error."""
    with pytest.raises(RecipeError) as error:
        parse_recipe('attention_backend(backend="sage")').apply(flux)

    assert str(error.value).startswith("attention_backend(backend='sage') cannot be used here: Sage Attention backend")


def test_an_unknown_backend_is_refused() -> None:
    """It is rejected before a pipeline is built, with the closest name."""
    with pytest.raises(RecipeError) as error:
        parse_recipe('attention_backend(backend="natve")')

    assert str(error.value).startswith(
        "unknown backend of attention_backend: 'natve' (did you mean 'native'?); known: "
    )
