"""CogVideoX 5B, text to video."""

import pytest

from suites.every_guard import Compiled, EveryRecipe, FullSize, OnGpu
from suites.known_syncs import COGVIDEOX_DDIM

COMPILED = 'bf16 + sdpa + compile(target=["denoiser"])'


@pytest.mark.diffopt(pipeline="cogvideox", recipe=["fp32", COMPILED])
class TestEveryRecipe(EveryRecipe):
    """The plain recipe and all of it."""

    allow_syncs = COGVIDEOX_DDIM


@pytest.mark.diffopt(pipeline="cogvideox", recipe=COMPILED)
class TestCompiled(Compiled):
    """One graph, compiled once: diffusers lists no repeated blocks of this transformer."""


@pytest.mark.diffopt(pipeline="cogvideox", recipe="bf16 + sdpa", scale="full")
class TestFullSize(FullSize):
    """The published architecture."""

    allow_syncs = COGVIDEOX_DDIM


@pytest.mark.diffopt(pipeline="cogvideox", recipe=["bf16 + sdpa", COMPILED])
class TestOnGpu(OnGpu):
    """Latency and memory."""
