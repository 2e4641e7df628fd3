"""Layers that block-level group offload moves only in `forward` are named for modules that decode."""

from collections.abc import Callable

import pytest
import torch
from diffusers.hooks import apply_group_offloading
from torch import nn

from pytest_diffopt.probes.block_offload import layers_left_on_host

HOST = torch.device("cpu")


class Decoding(nn.Module):
    """A VAE with one layer outside of its blocks."""

    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.ModuleList([nn.Linear(2, 2)])
        self.head = nn.Linear(2, 2)

    def decode(self, latents: torch.Tensor) -> torch.Tensor:
        """Decode."""
        return self.head(self.blocks[0](latents))  # type: ignore[no-any-return]


class Predicting(Decoding):
    """A denoiser, whose `forward` is called."""

    decode = None  # type: ignore[assignment]


class WithBlocks(Decoding):
    """Its class names the layer as a block."""

    _group_offload_block_modules = ("head",)


class Pipeline:
    """A pipeline with one component."""

    def __init__(self, part: nn.Module) -> None:
        self.components = {"vae": part}


def offloaded(part: nn.Module, offload_type: str) -> Pipeline:
    """Return a pipeline whose component is offloaded in groups."""
    options = {"num_blocks_per_group": 1} if offload_type == "block_level" else {}
    apply_group_offloading(part, onload_device=HOST, offload_type=offload_type, **options)
    return Pipeline(part)


def test_a_layer_outside_of_the_blocks_is_named() -> None:
    """With both ways to offload it."""
    assert layers_left_on_host(offloaded(Decoding(), "block_level")) == (
        "block-level group offload moves head of vae only in its forward, which decode does not call: offload it with "
        'offload_type="leaf_level", or leave it out with exclude_modules="vae"',
    )


@pytest.mark.parametrize(
    "pipeline",
    [
        lambda: Pipeline(Decoding()),
        lambda: offloaded(Decoding(), "leaf_level"),
        lambda: offloaded(Predicting(), "block_level"),
        lambda: offloaded(WithBlocks(), "block_level"),
    ],
    ids=["not offloaded", "leaf level", "forward is called", "named as a block"],
)
def test_layers_that_are_moved_are_not_named(pipeline: Callable[[], Pipeline]) -> None:
    """Their hooks run in each call."""
    assert layers_left_on_host(pipeline()) == ()
