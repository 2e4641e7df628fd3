"""HunyuanVideo 1.5, text to video, whose guidance is a component of the pipeline."""

import pytest

from suites.every_guard import Compiled, EveryRecipe, FullSize, OnGpu
from suites.known_syncs import HUNYUAN_VIDEO

COMPILED = 'bf16 + sdpa + compile(target=["denoiser"], regional=True)'


@pytest.mark.diffopt(pipeline="hunyuan-video-1.5", recipe=["fp32", COMPILED])
class TestEveryRecipe(EveryRecipe):
    """The plain recipe and all of it."""

    allow_syncs = HUNYUAN_VIDEO


@pytest.mark.diffopt(pipeline="hunyuan-video-1.5", recipe=COMPILED)
class TestCompiled(Compiled):
    """Each block is one graph, compiled once: text and glyphs are padded to a fixed length."""


@pytest.mark.diffopt(pipeline="hunyuan-video-1.5", recipe="bf16 + sdpa", scale="full")
class TestFullSize(FullSize):
    """The published architecture."""

    allow_syncs = HUNYUAN_VIDEO


@pytest.mark.diffopt(pipeline="hunyuan-video-1.5", recipe=["bf16 + sdpa", COMPILED])
class TestOnGpu(OnGpu):
    """Latency and memory."""
