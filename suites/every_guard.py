"""The tests that every pipeline's suite inherits; `test_sdxl.py` has the same tests as functions."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import pytest

from pytest_diffopt import (
    AllowedRecompiles,
    AllowedSyncs,
    CountGate,
    ImageThresholds,
    LatencyGate,
    MemoryGate,
    PipelineInputs,
    assert_faster,
    assert_no_graph_breaks,
    assert_no_recompiles,
    assert_no_syncs,
    assert_optimizations_applied,
    assert_optimizations_effective,
    assert_repeatable,
    assert_same_images,
)

#: The batch sizes of the tables on diffusers' "PyTorch 2.0" page.
BATCHES = [1, 4, 16]
_FEW_STEPS = 3
#: For Euler's method, whose steps depend on none before: the second step is as every later one.
TWO_STEPS = 2


class EveryRecipe:
    """Tests for any recipe."""

    allow_syncs: ClassVar[Sequence[AllowedSyncs]] = ()
    image_thresholds: ClassVar[ImageThresholds | None] = None

    def test_every_optimization_is_applied(self, optimized_pipeline: Any, pipeline_inputs: PipelineInputs) -> None:
        """Each optimization of the recipe acts in a call, and is found in the pipeline afterwards."""
        assert_optimizations_effective(optimized_pipeline, **pipeline_inputs)
        assert_optimizations_applied(optimized_pipeline)

    def test_denoise_loop_never_syncs(self, optimized_pipeline: Any, pipeline_inputs: PipelineInputs) -> None:
        """The CPU queues every step without a sync, except for the known syncs of the published scheduler."""
        assert_no_syncs(optimized_pipeline, allow_syncs=self.allow_syncs, **pipeline_inputs)

    def test_image_is_the_reference(
        self, optimized_pipeline: Any, reference_pipeline: Any, pipeline_inputs: PipelineInputs
    ) -> None:
        """The optimized pipeline draws the image of the plain pipeline, with similar latents in every step."""
        assert_same_images(optimized_pipeline, reference_pipeline, thresholds=self.image_thresholds, **pipeline_inputs)

    def test_same_call_gives_the_same_image(
        self,
        optimized_pipeline: Any,
        pipeline_inputs: PipelineInputs,
        pipeline_variations: Sequence[PipelineInputs],
    ) -> None:
        """No state of one call affects the next: neither of the same call, nor of one that differs."""
        assert_repeatable(optimized_pipeline, after=pipeline_variations[1:2], **pipeline_inputs)

    def test_counts(self, optimized_pipeline: Any, pipeline_inputs: PipelineInputs, count_baseline: CountGate) -> None:
        """Operations, FLOPs, bytes, memory and kernels of a call are exactly those of the baseline."""
        count_baseline.check(optimized_pipeline, **pipeline_inputs)


class Compiled:
    """Tests for a recipe that compiles."""

    allow_recompiles: ClassVar[Sequence[AllowedRecompiles]] = ()

    def test_compiles_without_graph_breaks(self, optimized_pipeline: Any, pipeline_inputs: PipelineInputs) -> None:
        """Every compiled module is one graph."""
        assert_no_graph_breaks(optimized_pipeline, **pipeline_inputs)

    def test_never_recompiles(self, optimized_pipeline: Any, pipeline_variations: Sequence[PipelineInputs]) -> None:
        """Other prompts, guidance scales, step counts and seeds cause no recompile."""
        assert_no_recompiles(optimized_pipeline, pipeline_variations, allow_recompiles=self.allow_recompiles)

    @pytest.mark.gpu
    def test_faster_than_plain(
        self, optimized_pipeline: Any, reference_pipeline: Any, pipeline_inputs: PipelineInputs
    ) -> None:
        """The optimized pipeline is faster than the plain one, measured in the same run."""
        assert_faster(optimized_pipeline, reference_pipeline, **pipeline_inputs)


class FullSize:
    """Tests of the published architecture on the simulated GPU, which take seconds and need no weights."""

    allow_syncs: ClassVar[Sequence[AllowedSyncs]] = ()
    few_steps: ClassVar[int | tuple[int, ...]] = _FEW_STEPS
    shorter_call: ClassVar[Mapping[str, Any]] = {}

    def test_full_size_counts(
        self, simulated_pipeline: Any, pipeline_inputs: PipelineInputs, count_baseline: CountGate
    ) -> None:
        """A call's counts are exactly those of the baseline. Few steps suffice: later ones repeat the last."""
        count_baseline.check(simulated_pipeline, **self._shortened(pipeline_inputs))

    def test_full_size_denoise_loop_never_syncs(self, simulated_pipeline: Any, pipeline_inputs: PipelineInputs) -> None:
        """The published architecture does not synchronize, including in branches that depend on its size."""
        inputs = self._shortened(pipeline_inputs)
        assert_no_syncs(simulated_pipeline, allow_syncs=self.allow_syncs, **inputs)

    def _shortened(self, inputs: PipelineInputs) -> PipelineInputs:
        return inputs.varied("few steps", num_inference_steps=self.few_steps, **self.shorter_call)


@pytest.mark.gpu
class OnGpu:
    """Tests that need a GPU, with the published batch sizes."""

    def test_latency(
        self, optimized_pipeline: Any, pipeline_inputs: PipelineInputs, latency_baseline: LatencyGate
    ) -> None:
        """A call is not slower than the baseline of this GPU."""
        latency_baseline.check(optimized_pipeline, **pipeline_inputs)

    def test_peak_memory(
        self, optimized_pipeline: Any, pipeline_inputs: PipelineInputs, memory_baseline: MemoryGate
    ) -> None:
        """A call's peak memory does not exceed the baseline of this GPU."""
        memory_baseline.check(optimized_pipeline, **pipeline_inputs)
