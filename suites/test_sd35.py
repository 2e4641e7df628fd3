"""Stable Diffusion 3.5 medium and large."""

import pytest

from suites.every_guard import BATCHES, Compiled, EveryRecipe, FullSize, OnGpu
from suites.known_syncs import FLOW_MATCH_EULER

COMPILED = 'bf16 + sdpa + compile(target=["denoiser"])'


@pytest.mark.diffopt(pipeline=["sd35-medium", "sd35-large"], recipe=["fp32", COMPILED])
class TestEveryRecipe(EveryRecipe):
    """The plain recipe and all of it."""

    allow_syncs = FLOW_MATCH_EULER


@pytest.mark.diffopt(pipeline=["sd35-medium", "sd35-large"], recipe=COMPILED)
class TestCompiled(Compiled):
    """One graph, compiled once: diffusers lists no repeated blocks of this transformer."""


@pytest.mark.diffopt(pipeline=["sd35-medium", "sd35-large"], recipe="bf16 + sdpa", scale="full")
class TestFullSize(FullSize):
    """The published architecture."""

    allow_syncs = FLOW_MATCH_EULER


@pytest.mark.diffopt(pipeline=["sd35-medium", "sd35-large"], recipe=["bf16 + sdpa", COMPILED], batch=BATCHES)
class TestOnGpu(OnGpu):
    """Latency and memory."""
