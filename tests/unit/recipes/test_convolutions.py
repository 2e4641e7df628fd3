"""Linears that replace 1 x 1 convolutions give the same image; other convolutions are not replaced."""

from typing import Any

import pytest
from torch import nn

from pytest_diffopt.errors import RecipeError, RecipeWarning
from pytest_diffopt.recipes.grammar import parse_recipe
from tests.unit.tiny_pipelines import INPUTS, tiny_sdxl


class Pipeline:
    """The part of a pipeline that the optimization uses."""

    def __init__(self, *layers: nn.Module) -> None:
        self.components = {"unet": nn.Sequential(*layers)}


@pytest.mark.filterwarnings("ignore::pytest_diffopt.errors.RecipeWarning")
def test_the_image_is_the_same(pipeline: Any) -> None:
    """Only the order of the additions differs."""
    plain = tiny_sdxl()(**INPUTS).images
    parse_recipe("pointwise_linears(channels=0)").apply(pipeline)

    assert abs(pipeline(**INPUTS).images - plain).max() < 1e-5


@pytest.mark.filterwarnings("ignore::pytest_diffopt.errors.RecipeWarning")
def test_other_convolutions_are_not_replaced() -> None:
    """A matrix product cannot compute a stride, a padding, groups or a larger kernel."""
    kept = [nn.Conv2d(4, 4, 1, stride=2), nn.Conv2d(4, 4, 1, padding=1), nn.Conv2d(4, 4, 1, groups=2)]
    pipeline = Pipeline(*kept, nn.Conv2d(4, 4, 3), nn.Conv2d(4, 4, 1))
    recipe = parse_recipe("pointwise_linears(target=['denoiser'], channels=0)")
    recipe.apply(pipeline)

    assert recipe.verify(pipeline)[0].found == "1 1 x 1 convolutions are linears"
    assert [isinstance(layer, nn.Conv2d) for layer in pipeline.components["unet"]] == [True] * 4 + [False]


def test_a_pipeline_without_a_matching_convolution_is_refused() -> None:
    """No layer has the default of 128 channels."""
    with pytest.raises(RecipeError) as error, pytest.warns(RecipeWarning):
        parse_recipe("pointwise_linears(target=['denoiser'])").apply(Pipeline(nn.Conv2d(4, 4, 1)))

    assert str(error.value) == ("pointwise_linears has no effect: no 1 x 1 convolution with 128 channels in unet")


def test_linears_without_quantization_warn(pipeline: Any) -> None:
    """Without quantization they have no benefit."""
    with pytest.warns(RecipeWarning) as caught:
        parse_recipe("pointwise_linears(channels=16)").apply(pipeline)

    assert [str(one.message) for one in caught] == [
        "pointwise_linears has no benefit without int8_dynamic: "
        "a linear layer is no faster than the convolution that it replaces, but can be quantized"
    ]


def test_they_come_before_quantization() -> None:
    """The other order would not quantize them."""
    with pytest.raises(RecipeError) as error:
        parse_recipe("int8_dynamic + pointwise_linears + compile")

    assert str(error.value) == (
        "pointwise_linears must come before int8_dynamic, got: int8_dynamic + pointwise_linears + compile; "
        "the right order is: pointwise_linears + int8_dynamic + compile"
    )


def test_a_pipeline_without_replaced_convolutions_is_reported() -> None:
    """A result without any replaced convolution is not a pass."""
    pipeline = Pipeline(nn.Conv2d(4, 4, 3))

    assert parse_recipe("pointwise_linears(target=['denoiser'])").verify(pipeline)[0].missing == (
        "no linear replaces a convolution",
    )
