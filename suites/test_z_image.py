"""Z-Image-Turbo, whose denoiser takes and returns lists of tensors."""

import pytest

from pytest_diffopt import AllowedRecompiles
from suites.every_guard import BATCHES, TWO_STEPS, Compiled, EveryRecipe, FullSize, OnGpu

COMPILED = 'bf16 + sdpa + compile(target=["denoiser"], regional=True)'


@pytest.mark.diffopt(pipeline="z-image", recipe=["fp32", COMPILED])
class TestEveryRecipe(EveryRecipe):
    """The plain recipe and all of it."""


@pytest.mark.diffopt(pipeline="z-image", recipe=COMPILED)
class TestCompiled(Compiled):
    """Each kind of block is one graph: with modulation, and the refiner of the prompt without."""

    allow_recompiles = (
        AllowedRecompiles(
            where="transformer_z_image.py:forward",
            guard="self.modulation",
            reason="the blocks that refine the prompt are of the same class without modulation",
        ),
    )


@pytest.mark.diffopt(pipeline="z-image", recipe="bf16 + sdpa", scale="full")
class TestFullSize(FullSize):
    """The published architecture."""

    few_steps = TWO_STEPS


@pytest.mark.diffopt(pipeline="z-image", recipe=["bf16 + sdpa", COMPILED], batch=BATCHES)
class TestOnGpu(OnGpu):
    """Latency and memory."""
