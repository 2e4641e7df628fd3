"""Qwen-Image-Edit 2511, whose edit images add tokens to the prompt and to the image."""

from collections.abc import Sequence
from typing import Any

import pytest

from pytest_diffopt import PipelineInputs, assert_no_recompiles
from suites.every_guard import BATCHES, Compiled, EveryRecipe, FullSize, OnGpu
from suites.known_syncs import QWEN_IMAGE_EDIT

COMPILED = 'bf16 + sdpa + compile(target=["denoiser"], regional=True)'


@pytest.mark.diffopt(pipeline="qwen-image-edit", recipe=["fp32", COMPILED])
class TestEveryRecipe(EveryRecipe):
    """The plain recipe and all of it."""

    allow_syncs = QWEN_IMAGE_EDIT


@pytest.mark.diffopt(pipeline="qwen-image-edit", recipe=COMPILED)
class TestCompiled(Compiled):
    """Each block is one graph, compiled once."""

    def test_one_more_edit_image_compiles_once(
        self, optimized_pipeline: Any, pipeline_shape_variations: Sequence[PipelineInputs]
    ) -> None:
        """Each block compiles once more, only for its shapes."""
        plain, *_, two_images = pipeline_shape_variations
        assert_no_recompiles(optimized_pipeline, [plain, two_images])


@pytest.mark.diffopt(pipeline="qwen-image-edit", recipe="bf16 + sdpa", scale="full")
class TestFullSize(FullSize):
    """The published architecture."""

    allow_syncs = QWEN_IMAGE_EDIT


@pytest.mark.diffopt(pipeline="qwen-image-edit", recipe=["bf16 + sdpa", COMPILED], batch=BATCHES)
class TestOnGpu(OnGpu):
    """Latency and memory."""
