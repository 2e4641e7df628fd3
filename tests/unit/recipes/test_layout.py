"""The memory layout of the convolution weights is verified."""

from collections.abc import Callable
from typing import Any

import torch

from pytest_diffopt.recipes.grammar import parse_recipe
from pytest_diffopt.recipes.layout import ChannelsLast
from pytest_diffopt.recipes.optimization import Optimization
from pytest_diffopt.records import OptimizationState


def test_every_convolution_is_channels_last(pipeline: Any) -> None:
    """The weights of the denoiser and the VAE whose strides differ between the layouts are counted."""
    recipe = parse_recipe("channels_last")
    recipe.apply(pipeline)

    assert pipeline.unet.conv_in.weight.is_contiguous(memory_format=torch.channels_last)
    assert recipe.verify(pipeline) == (
        OptimizationState(name="channels_last", found="62 convolution weights are channels_last"),
    )


def test_a_missing_layout_is_reported(pipeline: Any, does_nothing: Callable[[type[Optimization]], None]) -> None:
    """The weights that are NCHW are counted per module."""
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


def test_one_convolution_in_another_layout_is_reported(pipeline: Any) -> None:
    """A layer that replaced another after the recipe was applied is counted."""
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


def test_a_pipeline_without_layout_sensitive_convolutions_is_reported() -> None:
    """A 1 x 1 kernel has the same strides in both layouts and is no evidence."""

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
            missing=("the pipeline has no convolution whose layout can change",),
        ),
    )


def test_convolutions_of_three_dimensions_stay_as_they_are() -> None:
    """Torch has no such layout for them, and would raise."""
    spatial, temporal = torch.nn.Conv2d(4, 4, 3), torch.nn.Conv3d(4, 4, 3)

    class Pipeline:
        def __init__(self) -> None:
            self.components = {"unet": torch.nn.Sequential(spatial, temporal)}

    pipeline = Pipeline()
    recipe = parse_recipe("channels_last")
    recipe.apply(pipeline)

    assert recipe.verify(pipeline) == (
        OptimizationState(name="channels_last", found="1 convolution weights are channels_last"),
    )
    assert spatial.weight.is_contiguous(memory_format=torch.channels_last)
    assert temporal.weight.is_contiguous()
