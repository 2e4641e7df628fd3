"""The convolutions' weights are laid out as asked, or are missed with their number."""

from collections.abc import Callable
from typing import Any

import torch

from pytest_diffopt.recipes.grammar import parse_recipe
from pytest_diffopt.recipes.layout import ChannelsLast
from pytest_diffopt.recipes.optimization import Optimization
from pytest_diffopt.records import OptimizationState


def test_every_convolution_is_channels_last(pipeline: Any) -> None:
    """Those of the denoiser and the VAE whose strides can tell."""
    recipe = parse_recipe("channels_last")
    recipe.apply(pipeline)

    assert pipeline.unet.conv_in.weight.is_contiguous(memory_format=torch.channels_last)
    assert recipe.verify(pipeline) == (
        OptimizationState(name="channels_last", found="62 convolution weights are channels_last"),
    )


def test_a_layout_that_was_not_applied_is_missed(
    pipeline: Any, does_nothing: Callable[[type[Optimization]], None]
) -> None:
    """The weights that are still NCHW are counted, module by module."""
    does_nothing(ChannelsLast)
    recipe = parse_recipe("channels_last")
    recipe.apply(pipeline)

    assert recipe.verify(pipeline) == (
        OptimizationState(
            name="channels_last",
            found="0 convolution weights are channels_last",
            missing=(
                "28 of 28 convolution weights of unet are NCHW",
                "34 of 34 convolution weights of vae are NCHW",
            ),
        ),
    )


def test_one_convolution_left_behind_is_missed(pipeline: Any) -> None:
    """A layer that was replaced after the recipe was applied is the one that counts."""
    recipe = parse_recipe("channels_last")
    recipe.apply(pipeline)
    pipeline.unet.conv_in = torch.nn.Conv2d(4, 16, 3, padding=1)

    assert recipe.verify(pipeline) == (
        OptimizationState(
            name="channels_last",
            found="61 convolution weights are channels_last",
            missing=("1 of 28 convolution weights of unet are NCHW",),
        ),
    )


def test_a_pipeline_without_a_telling_convolution_misses_the_layout() -> None:
    """A 1 x 1 kernel fits both layouts, so nothing of it proves anything."""

    class Pipeline:
        def __init__(self) -> None:
            self.components = {"transformer": torch.nn.Conv2d(4, 4, 1)}

    pipeline = Pipeline()
    recipe = parse_recipe("channels_last")
    recipe.apply(pipeline)

    assert recipe.verify(pipeline) == (
        OptimizationState(
            name="channels_last",
            found="0 convolution weights are channels_last",
            missing=("there is no convolution whose layout could change",),
        ),
    )
