"""Every level of SDXL's ladders through the same guards: the article's six levels and the levels of `modern`.

`test_ladders_of_others.py` tests the ladders of other pipelines. All levels are slow: see conftest.py. Kernels are
counted on the null GPU alone: `--diffopt-null-gpu -k test_kernels`, with `--diffopt-scale full` at full size.
"""

from typing import Any

import pytest

from pytest_diffopt import (
    CountGate,
    KernelGate,
    LatencyGate,
    PipelineInputs,
    Scale,
    assert_faster,
    assert_images_similar,
    assert_no_graph_breaks,
    assert_no_syncs,
    assert_optimizations_applied,
    assert_optimizations_effective,
)
from pytest_diffopt.null_gpu.activity import is_active
from pytest_diffopt.recipes.recipe import Recipe

LADDERS = ["diffusion-fast", "modern"]

every_level = pytest.mark.diffopt(pipeline="sdxl", ladder=LADDERS)


@every_level
def test_every_optimization_is_applied(optimized_pipeline: Any, pipeline_inputs: PipelineInputs) -> None:
    """Each optimization of the level acts in a call, and is found in the pipeline afterwards."""
    # Without a GPU, levels are traced: no compilation reads Inductor's flags.
    assert_optimizations_effective(optimized_pipeline, allow_unseen=["inductor"], **pipeline_inputs)
    assert_optimizations_applied(optimized_pipeline)


@every_level
def test_compiles_without_graph_breaks(
    optimized_pipeline: Any, diffopt_recipe: Recipe, pipeline_inputs: PipelineInputs
) -> None:
    """Every compiled module is one graph."""
    if not diffopt_recipe.compiles:
        pytest.skip("this level compiles nothing")
    assert_no_graph_breaks(optimized_pipeline, **pipeline_inputs)


@every_level
def test_denoise_loop_never_syncs(optimized_pipeline: Any, pipeline_inputs: PipelineInputs) -> None:
    """The CPU queues every step without a sync."""
    assert_no_syncs(optimized_pipeline, **pipeline_inputs)


@every_level
def test_image_is_the_reference(
    optimized_pipeline: Any, reference_pipeline: Any, pipeline_inputs: PipelineInputs
) -> None:
    """The level draws the image of the plain pipeline."""
    assert_images_similar(optimized_pipeline(**pipeline_inputs), reference_pipeline(**pipeline_inputs))


@every_level
def test_counts(optimized_pipeline: Any, pipeline_inputs: PipelineInputs, count_baseline: CountGate) -> None:
    """The level's counts are exactly those of the baseline."""
    count_baseline.check(optimized_pipeline, **pipeline_inputs)


@pytest.mark.slow
@pytest.mark.skipif(not is_active(), reason="kernels are counted on the null GPU")
@every_level
def test_kernels(optimized_pipeline: Any, pipeline_inputs: PipelineInputs, kernel_baseline: KernelGate) -> None:
    """The level launches exactly the kernels, library calls and CUDA graphs of the baseline; times are estimated."""
    kernel_baseline.check(optimized_pipeline, timeline=True, **pipeline_inputs)


@pytest.mark.gpu
@every_level
def test_latency(optimized_pipeline: Any, pipeline_inputs: PipelineInputs, latency_baseline: LatencyGate) -> None:
    """A call is not slower than the baseline of this GPU."""
    latency_baseline.check(optimized_pipeline, **pipeline_inputs)


@pytest.mark.gpu
@every_level
def test_no_slower_than_plain(
    optimized_pipeline: Any,
    reference_pipeline: Any,
    pipeline_inputs: PipelineInputs,
    diffopt_pipeline: Any,
    diffopt_recipe: Recipe,
) -> None:
    """The level is faster than the plain pipeline, measured in the same run."""
    if diffopt_pipeline.scale is Scale.TINY and not diffopt_recipe.compiles:
        pytest.skip("a tiny call takes as long as its launches, and only compilation makes them fewer")
    assert_faster(optimized_pipeline, reference_pipeline, **pipeline_inputs)
