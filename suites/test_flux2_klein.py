"""FLUX.2-klein 4B, distilled to four steps."""

import pytest

from suites.every_guard import BATCHES, TWO_STEPS, Compiled, EveryRecipe, FullSize, OnGpu

COMPILED = 'bf16 + sdpa + compile(target=["denoiser"], regional=True)'


@pytest.mark.diffopt(pipeline="flux2-klein", recipe=["fp32", COMPILED])
class TestEveryRecipe(EveryRecipe):
    """The plain recipe and all of it."""


@pytest.mark.diffopt(pipeline="flux2-klein", recipe=COMPILED)
class TestCompiled(Compiled):
    """Each block is one graph, compiled once."""


@pytest.mark.diffopt(pipeline="flux2-klein", recipe="bf16 + sdpa", scale="full")
class TestFullSize(FullSize):
    """The published architecture."""

    few_steps = TWO_STEPS


@pytest.mark.diffopt(pipeline="flux2-klein", recipe=["bf16 + sdpa", COMPILED], batch=BATCHES)
class TestOnGpu(OnGpu):
    """Latency and memory."""
