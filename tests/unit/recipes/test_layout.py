"""The layout channels_last of modules with convolutions of two and of three dimensions."""

import torch
from torch import nn

from pytest_diffopt import parse_recipe


class Denoiser(nn.Module):
    """An image's convolution, and a video's."""

    def __init__(self) -> None:
        """Make the layers."""
        super().__init__()
        self.spatial, self.temporal = nn.Conv2d(4, 4, 3), nn.Conv3d(4, 4, 3)


class Pipeline:
    """A pipeline of that module."""

    def __init__(self) -> None:
        """Build it."""
        self.unet = Denoiser()
        self.components = {"unet": self.unet}


def test_three_dimensions_stay_as_they_are() -> None:
    """Torch has no such layout for them, and would raise."""
    pipeline = Pipeline()
    recipe = parse_recipe("channels_last")
    recipe.apply(pipeline)
    (state,) = recipe.verify(pipeline)

    assert pipeline.unet.spatial.weight.is_contiguous(memory_format=torch.channels_last)
    assert pipeline.unet.temporal.weight.is_contiguous()
    assert state.missing == ()
