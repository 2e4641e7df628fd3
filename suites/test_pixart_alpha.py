"""PixArt-Alpha through every guard."""

import pytest

from suites.every_guard import BATCHES, Compiled, EveryRecipe, FullSize, OnGpu
from suites.image_thresholds import PIXART_ALPHA

COMPILED = 'bf16 + sdpa + channels_last + fuse_qkv + compile(target=["denoiser"])'


@pytest.mark.diffopt(pipeline="pixart-alpha", recipe=["fp32", COMPILED])
class TestEveryRecipe(EveryRecipe):
    """The plain recipe and all of it."""

    image_thresholds = PIXART_ALPHA


@pytest.mark.diffopt(pipeline="pixart-alpha", recipe=COMPILED)
class TestCompiled(Compiled):
    """One graph, compiled once."""


@pytest.mark.diffopt(pipeline="pixart-alpha", recipe="bf16 + sdpa", scale="full")
class TestFullSize(FullSize):
    """The published architecture."""


@pytest.mark.diffopt(pipeline="pixart-alpha", recipe=["bf16 + sdpa", COMPILED], batch=BATCHES)
class TestOnGpu(OnGpu):
    """Latency and memory."""
