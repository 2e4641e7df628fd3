"""Stable Diffusion 3 medium through every guard."""

import pytest

from suites.every_guard import BATCHES, TWO_STEPS, Compiled, EveryRecipe, FullSize, OnGpu
from suites.known_syncs import FLOW_MATCH_EULER

COMPILED = 'bf16 + sdpa + channels_last + fuse_qkv + compile(target=["denoiser"])'


@pytest.mark.diffopt(pipeline="sd3", recipe=["fp32", COMPILED])
class TestEveryRecipe(EveryRecipe):
    """The plain recipe and all of it."""

    allow_syncs = FLOW_MATCH_EULER


@pytest.mark.diffopt(pipeline="sd3", recipe=COMPILED)
class TestCompiled(Compiled):
    """One graph, compiled once."""


@pytest.mark.diffopt(pipeline="sd3", recipe="bf16 + sdpa", scale="full")
class TestFullSize(FullSize):
    """The published architecture."""

    allow_syncs = FLOW_MATCH_EULER
    few_steps = TWO_STEPS


@pytest.mark.diffopt(pipeline="sd3", recipe=["bf16 + sdpa", COMPILED], batch=BATCHES)
class TestOnGpu(OnGpu):
    """Latency and memory."""
