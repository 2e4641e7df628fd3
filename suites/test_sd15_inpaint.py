"""Stable Diffusion 1.5 inpainting through every guard."""

import pytest

from suites.every_guard import BATCHES, Compiled, EveryRecipe, FullSize, OnGpu
from suites.known_syncs import DDIM

COMPILED = 'bf16 + sdpa + channels_last + fuse_qkv + compile(target=["denoiser"])'


@pytest.mark.diffopt(pipeline="sd15-inpaint", recipe=["fp32", COMPILED])
class TestEveryRecipe(EveryRecipe):
    """The plain recipe and all of it."""

    allow_syncs = DDIM


@pytest.mark.diffopt(pipeline="sd15-inpaint", recipe=COMPILED)
class TestCompiled(Compiled):
    """One graph, compiled once."""


@pytest.mark.diffopt(pipeline="sd15-inpaint", recipe="bf16 + sdpa", scale="full")
class TestFullSize(FullSize):
    """The published architecture."""

    allow_syncs = DDIM


@pytest.mark.diffopt(pipeline="sd15-inpaint", recipe=["bf16 + sdpa", COMPILED], batch=BATCHES)
class TestOnGpu(OnGpu):
    """Latency and memory."""
