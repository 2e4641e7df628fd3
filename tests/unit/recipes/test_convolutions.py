"""1 x 1 convolutions that become linears compute the same; what is no such convolution stays."""

from typing import Any

import pytest
from torch import nn

from pytest_diffopt.errors import RecipeError, RecipeWarning
from pytest_diffopt.recipes.grammar import parse_recipe
from tests.unit.tiny_pipelines import INPUTS, tiny_sdxl


class Pipeline:
    """What the optimization asks of a pipeline."""

    def __init__(self, *layers: nn.Module) -> None:
        self.components = {"unet": nn.Sequential(*layers)}


@pytest.mark.filterwarnings("ignore::pytest_diffopt.errors.RecipeWarning")
def test_the_image_is_the_same(pipeline: Any) -> None:
    """Only the order of additions differs."""
    plain = tiny_sdxl()(**INPUTS).images
    parse_recipe("pointwise_linears(channels=0)").apply(pipeline)

    assert abs(pipeline(**INPUTS).images - plain).max() < 1e-5


@pytest.mark.filterwarnings("ignore::pytest_diffopt.errors.RecipeWarning")
def test_what_no_matrix_product_computes_stays() -> None:
    """A stride, a padding, groups or a larger kernel."""
    kept = [nn.Conv2d(4, 4, 1, stride=2), nn.Conv2d(4, 4, 1, padding=1), nn.Conv2d(4, 4, 1, groups=2)]
    pipeline = Pipeline(*kept, nn.Conv2d(4, 4, 3), nn.Conv2d(4, 4, 1))
    recipe = parse_recipe("pointwise_linears(target=['denoiser'], channels=0)")
    recipe.apply(pipeline)

    assert recipe.verify(pipeline)[0].found == "1 1 x 1 convolutions are linears"
    assert [isinstance(layer, nn.Conv2d) for layer in pipeline.components["unet"]] == [True] * 4 + [False]


def test_nothing_to_turn_is_refused() -> None:
    """The article's width is no layer's here."""
    with pytest.raises(RecipeError) as error, pytest.warns(RecipeWarning):
        parse_recipe("pointwise_linears(target=['denoiser'])").apply(Pipeline(nn.Conv2d(4, 4, 1)))

    assert str(error.value) == ("pointwise_linears would turn nothing: no 1 x 1 convolution of unet with 128 channels")


def test_linears_that_nobody_quantizes_are_warned_of(pipeline: Any) -> None:
    """They are there to be quantized."""
    with pytest.warns(RecipeWarning) as caught:
        parse_recipe("pointwise_linears(channels=16)").apply(pipeline)

    assert [str(one.message) for one in caught] == [
        "pointwise_linears without int8_dynamic makes no sense: "
        "a linear layer is no faster than its convolution; it is there to be quantized"
    ]


def test_they_stand_before_fusing_and_quantizing() -> None:
    """The other order would quantize what is no linear yet."""
    with pytest.raises(RecipeError) as error:
        parse_recipe("int8_dynamic + pointwise_linears + compile")

    assert str(error.value) == (
        "pointwise_linears must stand before int8_dynamic, got: int8_dynamic + pointwise_linears + compile; "
        "the right order is: pointwise_linears + int8_dynamic + compile"
    )


def test_a_pipeline_without_any_misses_them() -> None:
    """Nothing that was turned is nothing proven."""
    pipeline = Pipeline(nn.Conv2d(4, 4, 3))

    assert parse_recipe("pointwise_linears(target=['denoiser'])").verify(pipeline)[0].missing == (
        "there is no linear that was a convolution",
    )
