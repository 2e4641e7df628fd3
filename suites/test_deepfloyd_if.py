"""DeepFloyd IF"""

import pytest

from suites.every_guard import BATCHES, Compiled, EveryRecipe, FullSize, OnGpu
from suites.known_waits import DEEPFLOYD_IF

COMPILED = 'bf16 + sdpa + channels_last + compile(target=["denoiser"])'


@pytest.mark.diffopt(pipeline="deepfloyd-if", recipe=["fp32", COMPILED])
class TestEveryRecipe(EveryRecipe):
    """The plain recipe and all of it."""

    allow_syncs = DEEPFLOYD_IF


@pytest.mark.diffopt(pipeline="deepfloyd-if", recipe=COMPILED)
class TestCompiled(Compiled):
    """One graph, compiled once."""


@pytest.mark.diffopt(pipeline="deepfloyd-if", recipe="bf16 + sdpa", scale="full")
class TestFullSize(FullSize):
    """The published architecture."""

    allow_syncs = DEEPFLOYD_IF


@pytest.mark.diffopt(pipeline="deepfloyd-if", recipe=["bf16 + sdpa", COMPILED], batch=BATCHES)
class TestOnGpu(OnGpu):
    """Latency and memory."""
