"""DeepFloyd IF through every guard: the chain of the published benchmark, and each of its three pipelines alone."""

import pytest

from suites.every_guard import BATCHES, Compiled, EveryRecipe, FullSize, OnGpu
from suites.known_syncs import DDIM, DDPM, DEEPFLOYD_IF

# No fuse_qkv: diffusers rejects it for the attention of IF, which has added key and value projections.
COMPILED = 'bf16 + sdpa + channels_last + compile(target=["denoiser"], dynamic=False)'


@pytest.mark.diffopt(pipeline="deepfloyd-if", recipe=["fp32", COMPILED])
class TestEveryRecipe(EveryRecipe):
    """The plain recipe and all of it."""

    allow_syncs = DEEPFLOYD_IF


@pytest.mark.diffopt(pipeline="deepfloyd-if", recipe=COMPILED)
class TestCompiled(Compiled):
    """One graph, compiled once."""


@pytest.mark.diffopt(pipeline="deepfloyd-if-1", recipe=COMPILED)
class TestFirstStageCompiled(EveryRecipe, Compiled):
    """The first stage alone: the whole chain compiles three networks, which `make gate` leaves out."""

    allow_syncs = DDPM


@pytest.mark.diffopt(pipeline="deepfloyd-if", recipe="bf16 + sdpa", scale="full")
class TestFullSize(FullSize):
    """The published architecture."""

    allow_syncs = DEEPFLOYD_IF


@pytest.mark.diffopt(pipeline=["deepfloyd-if", "deepfloyd-if-1"], recipe=["bf16 + sdpa", COMPILED], batch=BATCHES)
class TestOnGpu(OnGpu):
    """Latency and memory; the first stage draws a batch, the other stages upscale one image."""


@pytest.mark.diffopt(pipeline=["deepfloyd-if-2", "deepfloyd-if-3"], recipe=["bf16 + sdpa", COMPILED])
class TestUpscalersOnGpu(OnGpu):
    """Latency and memory of the two upscalers, one image each."""


@pytest.mark.diffopt(pipeline=["deepfloyd-if-1", "deepfloyd-if-2"], recipe="bf16 + sdpa")
class TestPixelStages(EveryRecipe):
    """The two stages of IF alone."""

    allow_syncs = DDPM


@pytest.mark.diffopt(pipeline="deepfloyd-if-3", recipe="bf16 + sdpa")
class TestUpscaler(EveryRecipe):
    """Stable Diffusion's upscaler alone."""

    allow_syncs = DDIM
