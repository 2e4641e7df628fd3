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
    assert_memory_stable,
    assert_no_graph_breaks,
    assert_no_recompiles,
    assert_no_syncs,
    assert_optimizations_applied,
    assert_optimizations_effective,
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
def test_every_optimization_is_applied(optimized_pipeline: Any, pipeline_inputs: PipelineInputs) -> None:
    """Each optimization of the recipe acts in a call, and is found in the pipeline afterwards."""
    assert_optimizations_effective(optimized_pipeline, **pipeline_inputs)
    assert_optimizations_applied(optimized_pipeline)


@compiled_recipe
def test_compiles_without_graph_breaks(optimized_pipeline: Any, pipeline_inputs: PipelineInputs) -> None:
    """UNet and VAE decoder compile to one graph each."""
    assert_no_graph_breaks(optimized_pipeline, **pipeline_inputs)


@compiled_recipe
def test_never_recompiles(optimized_pipeline: Any, pipeline_variations: Sequence[PipelineInputs]) -> None:
    """Other prompts, guidance scales, step counts, seeds and schedulers cause no recompile."""
    assert_no_recompiles(optimized_pipeline, pipeline_variations)


@compiled_recipe
def test_compiles_to_what_was_accepted(
    optimized_pipeline: Any, pipeline_inputs: PipelineInputs, compile_baseline: CompileGate
) -> None:
    """Graphs, operators and guards of each compiled function are exactly those of the baseline."""
    compile_baseline.check(optimized_pipeline, **pipeline_inputs)


@compiled_recipe
def test_compiled_modules_match_eager(optimized_pipeline: Any, pipeline_inputs: PipelineInputs) -> None:
    """The compiled UNet and VAE decoder give the outputs of the eager ones."""
    assert_compiled_matches_eager(optimized_pipeline, **pipeline_inputs)


@regional_recipe
def test_blocks_compile_without_graph_breaks(optimized_pipeline: Any, pipeline_inputs: PipelineInputs) -> None:
    """Each repeated block is one graph; the report compares their cold start with that of the whole UNet."""
    assert_no_graph_breaks(optimized_pipeline, **pipeline_inputs)


@regional_recipe
def test_another_resolution_compiles_once(
    optimized_pipeline: Any, pipeline_shape_variations: Sequence[PipelineInputs]
) -> None:
    """Each block compiles once more, only for its shapes."""
    plain, *_, resolution = pipeline_shape_variations
    assert_no_recompiles(optimized_pipeline, [plain, resolution])


@every_recipe
def test_denoise_loop_never_syncs(optimized_pipeline: Any, pipeline_inputs: PipelineInputs) -> None:
    """The CPU queues every step without a sync."""
    assert_no_syncs(optimized_pipeline, **pipeline_inputs)


@every_recipe
def test_image_is_the_reference(
    optimized_pipeline: Any, reference_pipeline: Any, pipeline_inputs: PipelineInputs
) -> None:
    """The optimized pipeline draws the image of the plain pipeline, with similar latents in every step."""
    assert_same_images(optimized_pipeline, reference_pipeline, **pipeline_inputs)


@every_recipe
def test_same_call_gives_the_same_image(
    optimized_pipeline: Any, pipeline_inputs: PipelineInputs, pipeline_variations: Sequence[PipelineInputs]
) -> None:
    """No state of one call affects the next: neither of the same call, nor of one that differs."""
    assert_repeatable(optimized_pipeline, after=pipeline_variations[1:2], **pipeline_inputs)


@every_recipe
def test_counts(optimized_pipeline: Any, pipeline_inputs: PipelineInputs, count_baseline: CountGate) -> None:
    """Operations, FLOPs, bytes, memory and kernels of a call are exactly those of the baseline."""
    count_baseline.check(optimized_pipeline, **pipeline_inputs)


@pytest.mark.diffopt(pipeline="sdxl", recipe="bf16 + sdpa")
def test_calls_leave_no_memory(optimized_pipeline: Any, pipeline_variations: Sequence[PipelineInputs]) -> None:
    """Live memory does not grow over calls with other prompts."""
    assert_memory_stable(optimized_pipeline, pipeline_variations[:3])


@full_size
def test_full_size_counts(simulated_pipeline: Any, pipeline_inputs: PipelineInputs, count_baseline: CountGate) -> None:
    """The published architecture's counts are exactly those of the baseline."""
    # Later steps repeat the third one.
    count_baseline.check(simulated_pipeline, **pipeline_inputs.varied("fewer steps", num_inference_steps=3))


@full_size
def test_full_size_denoise_loop_never_syncs(simulated_pipeline: Any, pipeline_inputs: PipelineInputs) -> None:
    """The published architecture does not synchronize, including in branches that depend on its size."""
    assert_no_syncs(simulated_pipeline, **pipeline_inputs.varied("fewer steps", num_inference_steps=4))


@pytest.mark.gpu
@every_batch
def test_latency(optimized_pipeline: Any, pipeline_inputs: PipelineInputs, latency_baseline: LatencyGate) -> None:
    """A call is not slower than the baseline of this GPU."""
    latency_baseline.check(optimized_pipeline, **pipeline_inputs)


@pytest.mark.gpu
@every_batch
def test_peak_memory(optimized_pipeline: Any, pipeline_inputs: PipelineInputs, memory_baseline: MemoryGate) -> None:
    """A call's peak memory does not exceed the baseline of this GPU."""
    memory_baseline.check(optimized_pipeline, **pipeline_inputs)


@pytest.mark.gpu
@compiled_recipe
def test_faster_than_plain(optimized_pipeline: Any, reference_pipeline: Any, pipeline_inputs: PipelineInputs) -> None:
    """The optimized pipeline is faster than the plain one, measured in the same run."""
    assert_faster(optimized_pipeline, reference_pipeline, **pipeline_inputs)
