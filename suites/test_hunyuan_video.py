"""HunyuanVideo 1.5, text to video, whose guidance is a component of the pipeline."""

from collections.abc import Mapping
from typing import Any, ClassVar

import pytest

from suites.every_guard import Compiled, EveryRecipe, FullSize, OnGpu
from suites.known_syncs import HUNYUAN_VIDEO

# In fp32: with random weights rounding to bf16 decides the image, so that comparing it would prove nothing.
COMPILED = 'fp32 + sdpa + compile(target=["denoiser"], regional=True)'
COMPILED_IN_BF16 = 'bf16 + sdpa + compile(target=["denoiser"], regional=True)'


@pytest.mark.diffopt(pipeline="hunyuan-video-1.5", recipe=["fp32", COMPILED])
class TestEveryRecipe(EveryRecipe):
    """The plain recipe and all of it."""

    allow_syncs = HUNYUAN_VIDEO


@pytest.mark.diffopt(pipeline="hunyuan-video-1.5", recipe=COMPILED)
class TestCompiled(Compiled):
    """Each block is one graph, compiled once: text and glyphs are padded to a fixed length."""


@pytest.mark.diffopt(pipeline="hunyuan-video-1.5", recipe="bf16 + sdpa", scale="full")
class TestFullSize(FullSize):
    """The published architecture without the decoder, which fills a mask row by row: 49,290 operations of one line."""

    allow_syncs = HUNYUAN_VIDEO
    shorter_call: ClassVar[Mapping[str, Any]] = {"output_type": "latent"}


@pytest.mark.diffopt(pipeline="hunyuan-video-1.5", recipe=["bf16 + sdpa", COMPILED_IN_BF16])
class TestOnGpu(OnGpu):
    """Latency and memory."""
