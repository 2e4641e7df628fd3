"""LTX-2, which generates video and audio together, with a scheduler for each."""

import pytest

from suites.every_guard import Compiled, EveryRecipe, FullSize, OnGpu

COMPILED = 'bf16 + sdpa + compile(target=["denoiser"], regional=True)'


@pytest.mark.diffopt(pipeline="ltx2", recipe=["fp32", COMPILED])
class TestEveryRecipe(EveryRecipe):
    """The plain recipe and all of it."""


@pytest.mark.diffopt(pipeline="ltx2", recipe=COMPILED)
class TestCompiled(Compiled):
    """Each block is one graph, compiled once."""


@pytest.mark.diffopt(pipeline="ltx2", recipe="bf16 + sdpa", scale="full")
class TestFullSize(FullSize):
    """The published architecture."""


@pytest.mark.diffopt(pipeline="ltx2", recipe=["bf16 + sdpa", COMPILED])
class TestOnGpu(OnGpu):
    """Latency and memory."""
