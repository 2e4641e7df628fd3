"""SDXL with the tiny autoencoder, through every guard."""

import pytest

from suites.every_guard import BATCHES, Compiled, EveryRecipe, FullSize, OnGpu

COMPILED = 'bf16 + sdpa + channels_last + fuse_qkv + compile(target=["vae.decode"])'


@pytest.mark.diffopt(pipeline="sdxl-taesd", recipe=["fp32", COMPILED])
class TestEveryRecipe(EveryRecipe):
    """The plain recipe and all of it."""


@pytest.mark.diffopt(pipeline="sdxl-taesd", recipe=COMPILED)
class TestCompiled(Compiled):
    """One graph, compiled once."""


@pytest.mark.diffopt(pipeline="sdxl-taesd", recipe="bf16 + sdpa", scale="full")
class TestFullSize(FullSize):
    """The published architecture."""


@pytest.mark.diffopt(pipeline="sdxl-taesd", recipe=["bf16 + sdpa", COMPILED], batch=BATCHES)
class TestOnGpu(OnGpu):
    """Latency and memory."""
