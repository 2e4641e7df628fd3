"""Regional compilation by accelerate: a transformer's blocks run compiled code, and a UNet is refused."""

from collections.abc import Iterator
from typing import Any

import pytest
import torch

from pytest_diffopt.errors import RecipeError
from pytest_diffopt.pipelines.loading import build_pipeline
from pytest_diffopt.pipelines.registry import find_pipeline
from pytest_diffopt.pipelines.scale import Scale
from pytest_diffopt.recipes.compilation import Compile
from pytest_diffopt.recipes.grammar import parse_recipe

REGIONAL = 'compile(target=["denoiser"], regional="accelerate", backend="eager")'


@pytest.fixture(autouse=True)
def _forget_compiled_code() -> Iterator[None]:
    torch.compiler.reset()
    yield
    torch.compiler.reset()


@pytest.fixture
def sd3() -> Any:
    """Build a pipeline whose denoiser names no repeated blocks."""
    return build_pipeline(find_pipeline("sd3"), Scale.TINY).pipeline


def test_every_block_runs_compiled_code(sd3: Any) -> None:
    """Before the first call nothing is proven."""
    recipe = parse_recipe(REGIONAL)
    recipe.apply(sd3)
    (before,) = recipe.verify(sd3)
    sd3(**find_pipeline("sd3").inputs(Scale.TINY))
    (state,) = recipe.verify(sd3)

    assert before.missing == ("transformer is compiled, but its compiled code has not run",)
    assert (state.found, state.missing) == ("compiled code ran for denoiser", ())


def test_a_compilation_that_was_not_applied_is_missed(sd3: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The blocks are what they were."""
    monkeypatch.setattr(Compile, "apply", lambda _self, _pipeline: None)
    recipe = parse_recipe(REGIONAL)
    recipe.apply(sd3)

    assert recipe.verify(sd3)[0].missing == ("transformer is not compiled",)


def test_a_unet_is_refused(pipeline: Any) -> None:
    """Its own code asks for the truth of a layer, which accelerate's wrapper does not answer."""
    with pytest.raises(RecipeError) as error:
        parse_recipe(REGIONAL).apply(pipeline)

    assert str(error.value) == (
        'compile(regional="accelerate") cannot take a UNet2DConditionModel: it asks `if self.conv_norm_out`, which '
        "accelerate's wrapper of a layer answers with a TypeError; compile(regional=True) can"
    )
