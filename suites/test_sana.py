"""SANA 1.6B, with linear attention."""

import pytest

from suites.every_guard import BATCHES, Compiled, EveryRecipe, FullSize, OnGpu
from suites.known_syncs import DPM_SOLVER

COMPILED = 'bf16 + sdpa + compile(target=["denoiser"])'


@pytest.mark.diffopt(pipeline="sana", recipe=["fp32", COMPILED])
class TestEveryRecipe(EveryRecipe):
    """The plain recipe and all of it."""

    allow_syncs = DPM_SOLVER


@pytest.mark.diffopt(pipeline="sana", recipe=COMPILED)
class TestCompiled(Compiled):
    """One graph, compiled once: diffusers lists no repeated blocks of this transformer."""


@pytest.mark.diffopt(pipeline="sana", recipe="bf16 + sdpa", scale="full")
class TestFullSize(FullSize):
    """The published architecture."""

    allow_syncs = DPM_SOLVER


@pytest.mark.diffopt(pipeline="sana", recipe=["bf16 + sdpa", COMPILED], batch=BATCHES)
class TestOnGpu(OnGpu):
    """Latency and memory."""
