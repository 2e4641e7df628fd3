"""FLUX.1-dev through every guard, and schnell, whose transformer has no guidance input."""

import pytest

from suites.every_guard import BATCHES, TWO_STEPS, Compiled, EveryRecipe, FullSize, OnGpu

COMPILED = 'bf16 + sdpa + channels_last + fuse_qkv + compile(target=["denoiser"])'


@pytest.mark.diffopt(pipeline="flux", recipe=["fp32", COMPILED])
class TestEveryRecipe(EveryRecipe):
    """The plain recipe and all of it."""


@pytest.mark.diffopt(pipeline="flux", recipe=COMPILED)
class TestCompiled(Compiled):
    """One graph, compiled once."""


@pytest.mark.diffopt(pipeline="flux-schnell", recipe="bf16 + sdpa")
class TestSchnell(EveryRecipe):
    """Only the call differs from dev; the tiny scale has dev's transformer."""


@pytest.mark.diffopt(pipeline=["flux", "flux-schnell"], recipe="bf16 + sdpa", scale="full")
class TestFullSize(FullSize):
    """The published architecture."""

    few_steps = TWO_STEPS


@pytest.mark.diffopt(pipeline=["flux", "flux-schnell"], recipe=["bf16 + sdpa", COMPILED], batch=BATCHES)
class TestOnGpu(OnGpu):
    """Latency and memory."""
