"""Regional compilation by accelerate: a transformer's blocks are compiled, and a UNet is rejected."""

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
    """Build a pipeline whose denoiser has no list of repeated blocks."""
    return build_pipeline(find_pipeline("sd3"), Scale.TINY).pipeline


def test_every_block_runs_compiled_code(sd3: Any) -> None:
    """Before the first call, compiled code has not run."""
    recipe = parse_recipe(REGIONAL)
    recipe.apply(sd3)
    (before,) = recipe.verify(sd3)
    sd3(**find_pipeline("sd3").inputs(Scale.TINY))
    (state,) = recipe.verify(sd3)

    assert before.missing == ("transformer is compiled, but its compiled code has not run",)
    assert (state.found, state.missing) == ("compiled code ran for denoiser", ())


def test_missing_compilation_is_reported(sd3: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The blocks are not compiled."""
    monkeypatch.setattr(Compile, "apply", lambda _self, _pipeline: None)
    recipe = parse_recipe(REGIONAL)
    recipe.apply(sd3)

    assert recipe.verify(sd3)[0].missing == ("transformer is not compiled",)


def test_a_unet_is_refused(pipeline: Any) -> None:
    """Its code uses a layer as a condition, which fails with accelerate's wrapper."""
    with pytest.raises(RecipeError) as error:
        parse_recipe(REGIONAL).apply(pipeline)

    assert str(error.value) == (
        'compile(regional="accelerate") does not support UNet2DConditionModel: it evaluates '
        "`if self.conv_norm_out`, which raises a TypeError on accelerate's wrapped layer; use compile(regional=True)"
    )
