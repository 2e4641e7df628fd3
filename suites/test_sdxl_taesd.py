"""SDXL with the tiny autoencoder, through every guard."""

from typing import Any

import pytest

from pytest_diffopt import PipelineInputs, Scale
from suites.every_guard import BATCHES, Compiled, EveryRecipe, FullSize, OnGpu

COMPILED = 'bf16 + sdpa + channels_last + fuse_qkv + compile(target=["vae.decode"])'


@pytest.mark.diffopt(pipeline="sdxl-taesd", recipe=["fp32", COMPILED])
class TestEveryRecipe(EveryRecipe):
    """The plain recipe and all of it."""


@pytest.mark.diffopt(pipeline="sdxl-taesd", recipe=COMPILED)
class TestCompiled(Compiled):
    """One graph, compiled once."""

    @pytest.mark.gpu
    def test_faster_than_plain(
        self,
        optimized_pipeline: Any,
        reference_pipeline: Any,
        pipeline_inputs: PipelineInputs,
        diffopt_pipeline: Any,
    ) -> None:
        """The optimized pipeline is faster than the plain one, measured in the same run."""
        if diffopt_pipeline.scale is Scale.TINY:
            pytest.skip("a tiny call takes as long as its launches, and the compiled autoencoder has few of them")
        super().test_faster_than_plain(optimized_pipeline, reference_pipeline, pipeline_inputs)


@pytest.mark.diffopt(pipeline="sdxl-taesd", recipe="bf16 + sdpa", scale="full")
class TestFullSize(FullSize):
    """The published architecture."""


@pytest.mark.diffopt(pipeline="sdxl-taesd", recipe=["bf16 + sdpa", COMPILED], batch=BATCHES)
class TestOnGpu(OnGpu):
    """Latency and memory."""
