"""Wan 2.1 and 2.2, text to video; the latter runs a second transformer in its later steps."""

from types import MappingProxyType

import pytest

from suites.every_guard import Compiled, EveryRecipe, FullSize, OnGpu
from suites.known_syncs import UNIPC, WAN_BOUNDARY

PIPELINES = ["wan-t2v-1.3b", "wan-t2v-a14b"]
COMPILED = 'bf16 + sdpa + compile(target=["denoiser"], regional=True)'
# The frames stay on the GPU: stacking 81 of them in NumPy would take longer than the rest of the call.
ON_DEVICE = MappingProxyType({"output_type": "pt"})


@pytest.mark.diffopt(pipeline="wan-t2v-1.3b", recipe=["fp32", COMPILED])
class TestEveryRecipe(EveryRecipe):
    """The plain recipe and all of it."""

    allow_syncs = UNIPC


@pytest.mark.diffopt(pipeline="wan-t2v-a14b", recipe=["fp32", COMPILED])
class TestTwoTransformers(EveryRecipe):
    """The same with a boundary between two transformers."""

    allow_syncs = (*UNIPC, WAN_BOUNDARY)


@pytest.mark.diffopt(pipeline=PIPELINES, recipe=COMPILED)
class TestCompiled(Compiled):
    """Each block is one graph, compiled once for both transformers."""


@pytest.mark.diffopt(pipeline="wan-t2v-1.3b", recipe="bf16 + sdpa", scale="full")
class TestFullSize(FullSize):
    """The published architecture."""

    allow_syncs = UNIPC
    shorter_call = ON_DEVICE


@pytest.mark.diffopt(pipeline="wan-t2v-a14b", recipe="bf16 + sdpa", scale="full")
class TestFullSizeOfTwoTransformers(FullSize):
    """The published architecture of both transformers."""

    allow_syncs = (*UNIPC, WAN_BOUNDARY)
    shorter_call = ON_DEVICE


@pytest.mark.diffopt(pipeline=PIPELINES, recipe=["bf16 + sdpa", COMPILED])
class TestOnGpu(OnGpu):
    """Latency and memory."""
