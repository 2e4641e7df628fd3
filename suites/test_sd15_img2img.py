"""Stable Diffusion 1.5 image-to-image through every guard."""

import pytest

from suites.every_guard import BATCHES, Compiled, EveryRecipe, FullSize, OnGpu
from suites.known_syncs import PNDM

COMPILED = 'bf16 + sdpa + channels_last + fuse_qkv + compile(target=["denoiser"])'


@pytest.mark.diffopt(pipeline="sd15-img2img", recipe=["fp32", COMPILED])
class TestEveryRecipe(EveryRecipe):
    """The plain recipe and all of it."""

    allow_syncs = PNDM


@pytest.mark.diffopt(pipeline="sd15-img2img", recipe=COMPILED)
class TestCompiled(Compiled):
    """One graph, compiled once."""


@pytest.mark.diffopt(pipeline="sd15-img2img", recipe="bf16 + sdpa", scale="full")
class TestFullSize(FullSize):
    """The published architecture."""

    allow_syncs = PNDM
    few_steps = 4  # 80 % of them run


@pytest.mark.diffopt(pipeline="sd15-img2img", recipe=["bf16 + sdpa", COMPILED], batch=BATCHES)
class TestOnGpu(OnGpu):
    """Latency and memory."""
