"""Every level of two ladders of published combinations: `memory`, of eight pipelines, and `cached`, of FLUX.

`memory` is half precision, a VAE in tiles, groups of blocks offloaded, and weights in float8; `cached` is bfloat16,
compiled, with a step cache. Without a GPU a level takes seconds to minutes: they run in `make ladders`.
"""

from typing import Any

import pytest

from pytest_diffopt import (
    AllowedGraphBreaks,
    AllowedSyncs,
    CountGate,
    ImageThresholds,
    PipelineInputs,
    assert_images_similar,
    assert_no_graph_breaks,
    assert_no_syncs,
    assert_optimizations_applied,
    assert_optimizations_effective,
)
from pytest_diffopt.recipes.recipe import Recipe

pytestmark = pytest.mark.slow

OFFLOADED = ["sdxl", "sd15", "sd15-controlnet", "ssd-1b", "pixart-alpha", "bk-sdm", "sd3", "flux-schnell"]
#: The edge of the circle that the tiny BK-SDM draws lies on a seam: its SSIM is 0.67 with tiles.
WITH_FEW_SEAMS = [one for one in OFFLOADED if one != "bk-sdm"]
#: A tile of the tiny VAE is as wide as what one of its pixels depends on, and ends within an image of 64 pixels: the
#: seams weigh more than those of a tile of 512 pixels.
SEAMS = ImageThresholds(min_ssim=0.75, min_psnr_db=22.0, max_mean_error=0.06, max_flip=0.3)
DECISION = "the change of the first block is read by the host, which decides about the other blocks"
FIRST_BLOCK_BREAKS = (
    AllowedGraphBreaks(
        where="first_block_cache.py:new_forward",
        break_reason="torch.compiler.disable",
        reason="diffusers excludes the decision of the cache from compilation",
    ),
)
FIRST_BLOCK_SYNCS = (
    AllowedSyncs(
        where="first_block_cache.py:_should_compute_remaining_blocks", per_step=1, first_step=0, reason=DECISION
    ),
)


@pytest.mark.diffopt(pipeline=OFFLOADED, ladder="memory")
def test_every_optimization_of_memory_is_applied(optimized_pipeline: Any, pipeline_inputs: PipelineInputs) -> None:
    """Each optimization of the level acts in a call, and is found in the pipeline afterwards."""
    assert_optimizations_effective(optimized_pipeline, **pipeline_inputs)
    assert_optimizations_applied(optimized_pipeline)


@pytest.mark.diffopt(pipeline=WITH_FEW_SEAMS, ladder="memory")
def test_image_of_memory_is_the_reference(
    optimized_pipeline: Any, reference_pipeline: Any, pipeline_inputs: PipelineInputs
) -> None:
    """The level draws the image of the plain pipeline, apart from the seams of tiles."""
    seen, reference = optimized_pipeline(**pipeline_inputs), reference_pipeline(**pipeline_inputs)
    assert_images_similar(seen, reference, thresholds=SEAMS)


@pytest.mark.diffopt(pipeline="sdxl", ladder="memory")
def test_counts_of_memory(optimized_pipeline: Any, pipeline_inputs: PipelineInputs, count_baseline: CountGate) -> None:
    """Peak memory, and the bytes that each step moves, are exactly those of the baseline."""
    count_baseline.check(optimized_pipeline, **pipeline_inputs)


@pytest.mark.diffopt(pipeline="flux", ladder="cached")
class TestCached:
    """Fewer blocks computed at the last level, and the same image."""

    def test_every_optimization_is_applied(self, optimized_pipeline: Any, pipeline_inputs: PipelineInputs) -> None:
        """Each optimization of the level acts in a call, and is found in the pipeline afterwards."""
        assert_optimizations_effective(optimized_pipeline, **pipeline_inputs)
        assert_optimizations_applied(optimized_pipeline)

    def test_compiles_without_other_graph_breaks(
        self, optimized_pipeline: Any, diffopt_recipe: Recipe, pipeline_inputs: PipelineInputs
    ) -> None:
        """One graph; with the cache it breaks at the decision alone."""
        if not diffopt_recipe.compiles:
            pytest.skip("this level compiles nothing")
        allowed = FIRST_BLOCK_BREAKS if "first_block_cache" in str(diffopt_recipe) else ()
        assert_no_graph_breaks(optimized_pipeline, allow_graph_breaks=allowed, **pipeline_inputs)

    def test_denoise_loop_syncs_for_the_decision_alone(
        self, optimized_pipeline: Any, diffopt_recipe: Recipe, pipeline_inputs: PipelineInputs
    ) -> None:
        """The CPU queues every step; with the cache it reads one number a step."""
        allowed = FIRST_BLOCK_SYNCS if "first_block_cache" in str(diffopt_recipe) else ()
        assert_no_syncs(optimized_pipeline, allow_syncs=allowed, **pipeline_inputs)

    def test_image_is_the_reference(
        self, optimized_pipeline: Any, reference_pipeline: Any, pipeline_inputs: PipelineInputs
    ) -> None:
        """The level draws the image of the plain pipeline."""
        assert_images_similar(optimized_pipeline(**pipeline_inputs), reference_pipeline(**pipeline_inputs))
