"""Qwen-Image, whose guidance is a second forward of the denoiser with another prompt length."""

import pytest

from suites.every_guard import BATCHES, TWO_STEPS, Compiled, EveryRecipe, FullSize, OnGpu

COMPILED = 'bf16 + sdpa + compile(target=["denoiser"], regional=True)'


@pytest.mark.diffopt(pipeline="qwen-image", recipe=["fp32", COMPILED])
class TestEveryRecipe(EveryRecipe):
    """The plain recipe and all of it."""


@pytest.mark.diffopt(pipeline="qwen-image", recipe=COMPILED)
class TestCompiled(Compiled):
    """Each block is one graph, compiled once."""


@pytest.mark.diffopt(pipeline="qwen-image", recipe="bf16 + sdpa", scale="full")
class TestFullSize(FullSize):
    """The published architecture."""

    few_steps = TWO_STEPS


@pytest.mark.diffopt(pipeline="qwen-image", recipe=["bf16 + sdpa", COMPILED], batch=BATCHES)
class TestOnGpu(OnGpu):
    """Latency and memory."""
