"""Stable Diffusion 1.5 with a ControlNet, through every guard; UNet and ControlNet are compiled."""

import pytest

from suites.every_guard import BATCHES, Compiled, EveryRecipe, FullSize, OnGpu
from suites.known_syncs import PNDM

# No fuse_qkv: diffusers 0.42 silently fuses nothing in a ControlNet.
COMPILED = 'bf16 + sdpa + channels_last + compile(target=["denoiser", "controlnet"])'


@pytest.mark.diffopt(pipeline="sd15-controlnet", recipe=["fp32", COMPILED])
class TestEveryRecipe(EveryRecipe):
    """The plain recipe and all of it."""

    allow_syncs = PNDM


@pytest.mark.diffopt(pipeline="sd15-controlnet", recipe=COMPILED)
class TestCompiled(Compiled):
    """One graph, compiled once."""


@pytest.mark.diffopt(pipeline="sd15-controlnet", recipe="bf16 + sdpa", scale="full")
class TestFullSize(FullSize):
    """The published architecture."""

    allow_syncs = PNDM


@pytest.mark.diffopt(pipeline="sd15-controlnet", recipe=["bf16 + sdpa", COMPILED], batch=BATCHES)
class TestOnGpu(OnGpu):
    """Latency and memory."""
