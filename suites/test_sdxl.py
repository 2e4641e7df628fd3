"""Stable Diffusion XL through every guard."""

from collections.abc import Sequence
from typing import Any

import pytest

from pytest_diffopt import (
    CompileGate,
    CountGate,
    LatencyGate,
    MemoryGate,
    PipelineInputs,
    assert_compiled_matches_eager,
    assert_faster,
    assert_no_graph_breaks,
    assert_no_recompiles,
    assert_no_syncs,
    assert_optimizations_applied,
    assert_repeatable,
    assert_same_images,
)

COMPILED = "bf16 + sdpa + channels_last + fuse_qkv + compile"
RECIPES = ["fp32", "bf16 + sdpa", COMPILED]

REGIONAL = "bf16 + sdpa + channels_last + fuse_qkv + compile(regional=True)"

every_recipe = pytest.mark.diffopt(pipeline="sdxl", recipe=RECIPES)
compiled_recipe = pytest.mark.diffopt(pipeline="sdxl", recipe=COMPILED)
regional_recipe = pytest.mark.diffopt(pipeline="sdxl", recipe=REGIONAL)
every_batch = pytest.mark.diffopt(pipeline="sdxl", recipe=RECIPES, batch=[1, 4, 16])
full_size = pytest.mark.diffopt(
    pipeline="sdxl", recipe=["bf16 + sdpa", "bf16 + sdpa + channels_last + fuse_qkv"], scale="full"
)


@every_recipe
def test_every_optimization_is_applied(optimized_pipeline: Any) -> None:
    """Each optimization of the recipe is found in the living pipeline."""
    assert_optimizations_applied(optimized_pipeline)


@compiled_recipe
def test_compiles_without_graph_breaks(optimized_pipeline: Any, pipeline_inputs: PipelineInputs) -> None:
    """UNet and VAE decoder compile to one graph each."""
    assert_no_graph_breaks(optimized_pipeline, **pipeline_inputs)


@compiled_recipe
def test_never_recompiles(optimized_pipeline: Any, pipeline_variations: Sequence[PipelineInputs]) -> None:
    """Other prompts, guidance, step counts, seeds and schedulers compile nothing anew."""
    assert_no_recompiles(optimized_pipeline, pipeline_variations)


@compiled_recipe
def test_compiles_to_what_was_accepted(
    optimized_pipeline: Any, pipeline_inputs: PipelineInputs, compile_baseline: CompileGate
) -> None:
    """Graphs, operators and guards of each compiled function, exactly."""
    compile_baseline.check(optimized_pipeline, **pipeline_inputs)


@compiled_recipe
def test_compiled_modules_match_eager(optimized_pipeline: Any, pipeline_inputs: PipelineInputs) -> None:
    """UNet and VAE decoder give compiled what they give uncompiled."""
    assert_compiled_matches_eager(optimized_pipeline, **pipeline_inputs)


@regional_recipe
def test_blocks_compile_without_graph_breaks(optimized_pipeline: Any, pipeline_inputs: PipelineInputs) -> None:
    """The UNet's repeated blocks; the report shows their cold start beside that of the whole UNet."""
    assert_no_graph_breaks(optimized_pipeline, **pipeline_inputs)


@regional_recipe
def test_another_resolution_compiles_once(
    optimized_pipeline: Any, pipeline_shape_variations: Sequence[PipelineInputs]
) -> None:
    """Each block once more, for its shapes alone."""
    plain, *_, resolution = pipeline_shape_variations
    assert_no_recompiles(optimized_pipeline, [plain, resolution])


@every_recipe
def test_denoise_loop_never_syncs(optimized_pipeline: Any, pipeline_inputs: PipelineInputs) -> None:
    """The CPU queues every step without waiting for the GPU."""
    assert_no_syncs(optimized_pipeline, **pipeline_inputs)


@every_recipe
def test_image_is_the_reference(
    optimized_pipeline: Any, reference_pipeline: Any, pipeline_inputs: PipelineInputs
) -> None:
    """The optimized pipeline draws what the plain one draws, and gets there by the same steps."""
    assert_same_images(optimized_pipeline, reference_pipeline, **pipeline_inputs)


@every_recipe
def test_same_call_gives_the_same_image(optimized_pipeline: Any, pipeline_inputs: PipelineInputs) -> None:
    """Nothing of one call leaks into the next."""
    assert_repeatable(optimized_pipeline, **pipeline_inputs)


@every_recipe
def test_counts(optimized_pipeline: Any, pipeline_inputs: PipelineInputs, count_baseline: CountGate) -> None:
    """A call does on a GPU exactly what it was accepted to do: operations, FLOPs, bytes, memory, kernels."""
    count_baseline.check(optimized_pipeline, **pipeline_inputs)


@full_size
def test_full_size_counts(simulated_pipeline: Any, pipeline_inputs: PipelineInputs, count_baseline: CountGate) -> None:
    """The published architecture does on a GPU exactly what it was accepted to do, in seconds and without weights."""
    # Every later step does what the third one does.
    count_baseline.check(simulated_pipeline, **pipeline_inputs.varied("fewer steps", num_inference_steps=3))


@full_size
def test_full_size_denoise_loop_never_syncs(simulated_pipeline: Any, pipeline_inputs: PipelineInputs) -> None:
    """Nothing in the published architecture waits, whatever its size decides."""
    assert_no_syncs(simulated_pipeline, **pipeline_inputs.varied("fewer steps", num_inference_steps=4))


@pytest.mark.gpu
@every_batch
def test_latency(optimized_pipeline: Any, pipeline_inputs: PipelineInputs, latency_baseline: LatencyGate) -> None:
    """A call takes no longer than it was accepted to take on this GPU."""
    latency_baseline.check(optimized_pipeline, **pipeline_inputs)


@pytest.mark.gpu
@every_batch
def test_peak_memory(optimized_pipeline: Any, pipeline_inputs: PipelineInputs, memory_baseline: MemoryGate) -> None:
    """A call holds no more memory at its peak than it was accepted to hold on this GPU."""
    memory_baseline.check(optimized_pipeline, **pipeline_inputs)


@pytest.mark.gpu
@compiled_recipe
def test_faster_than_plain(optimized_pipeline: Any, reference_pipeline: Any, pipeline_inputs: PipelineInputs) -> None:
    """All optimizations together are faster than none, in this very run."""
    assert_faster(optimized_pipeline, reference_pipeline, **pipeline_inputs)
