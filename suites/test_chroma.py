"""Chroma1-HD, whose guidance is a second forward of the denoiser."""

import pytest

from suites.every_guard import BATCHES, Compiled, EveryRecipe, FullSize, OnGpu
from suites.known_syncs import CHROMA_TIMESTEPS

# In fp32: with random weights rounding to bf16 decides the image, so that comparing it would prove nothing.
COMPILED = 'fp32 + sdpa + compile(target=["denoiser"], regional=True)'
COMPILED_IN_BF16 = 'bf16 + sdpa + compile(target=["denoiser"], regional=True)'


@pytest.mark.diffopt(pipeline="chroma", recipe=["fp32", COMPILED])
class TestEveryRecipe(EveryRecipe):
    """The plain recipe and all of it."""

    allow_syncs = CHROMA_TIMESTEPS


@pytest.mark.diffopt(pipeline="chroma", recipe=COMPILED)
class TestCompiled(Compiled):
    """Each block is one graph, compiled once."""


@pytest.mark.diffopt(pipeline="chroma", recipe="bf16 + sdpa", scale="full")
class TestFullSize(FullSize):
    """The published architecture."""

    allow_syncs = CHROMA_TIMESTEPS


@pytest.mark.diffopt(pipeline="chroma", recipe=["bf16 + sdpa", COMPILED_IN_BF16], batch=BATCHES)
class TestOnGpu(OnGpu):
    """Latency and memory."""
