"""What every family's suite asks of its pipeline; `test_sdxl.py` has the same written out."""

from collections.abc import Sequence
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
    assert_repeatable,
    assert_same_images,
)

#: The batches of the tables that the seeds report.
BATCHES = [1, 4, 16]
_FEW_STEPS = 3


class EveryRecipe:
    """What holds with any recipe."""

    allow_syncs: ClassVar[Sequence[AllowedSyncs]] = ()
    image_thresholds: ClassVar[ImageThresholds | None] = None

    def test_every_optimization_is_applied(self, optimized_pipeline: Any, pipeline_inputs: PipelineInputs) -> None:
        """Each optimization of the recipe is found in the living pipeline."""
        assert_optimizations_applied(optimized_pipeline, **pipeline_inputs)

    def test_denoise_loop_never_syncs(self, optimized_pipeline: Any, pipeline_inputs: PipelineInputs) -> None:
        """The CPU queues every step without waiting for the GPU, but for what the published scheduler is known for."""
        assert_no_syncs(optimized_pipeline, allow_syncs=self.allow_syncs, **pipeline_inputs)

    def test_image_is_the_reference(
        self, optimized_pipeline: Any, reference_pipeline: Any, pipeline_inputs: PipelineInputs
    ) -> None:
        """The optimized pipeline draws what the plain one draws, and gets there by the same steps."""
        assert_same_images(optimized_pipeline, reference_pipeline, thresholds=self.image_thresholds, **pipeline_inputs)

    def test_same_call_gives_the_same_image(self, optimized_pipeline: Any, pipeline_inputs: PipelineInputs) -> None:
        """Nothing of one call leaks into the next."""
        assert_repeatable(optimized_pipeline, **pipeline_inputs)

    def test_counts(self, optimized_pipeline: Any, pipeline_inputs: PipelineInputs, count_baseline: CountGate) -> None:
        """A call does on a GPU exactly what it was accepted to do: operations, FLOPs, bytes, memory, kernels."""
        count_baseline.check(optimized_pipeline, **pipeline_inputs)


class Compiled:
    """What holds with a recipe that compiles."""

    allow_recompiles: ClassVar[Sequence[AllowedRecompiles]] = ()

    def test_compiles_without_graph_breaks(self, optimized_pipeline: Any, pipeline_inputs: PipelineInputs) -> None:
        """Whatever the recipe compiles becomes one graph."""
        assert_no_graph_breaks(optimized_pipeline, **pipeline_inputs)

    def test_never_recompiles(self, optimized_pipeline: Any, pipeline_variations: Sequence[PipelineInputs]) -> None:
        """Other prompts, guidance, step counts and seeds compile nothing anew."""
        assert_no_recompiles(optimized_pipeline, pipeline_variations, allow_recompiles=self.allow_recompiles)

    @pytest.mark.gpu
    def test_faster_than_plain(
        self, optimized_pipeline: Any, reference_pipeline: Any, pipeline_inputs: PipelineInputs
    ) -> None:
        """All optimizations together are faster than none, in this very run."""
        assert_faster(optimized_pipeline, reference_pipeline, **pipeline_inputs)


class FullSize:
    """What the simulated GPU knows of the published architecture, in seconds and without weights."""

    allow_syncs: ClassVar[Sequence[AllowedSyncs]] = ()
    few_steps: ClassVar[int | tuple[int, ...]] = _FEW_STEPS

    def test_full_size_counts(
        self, simulated_pipeline: Any, pipeline_inputs: PipelineInputs, count_baseline: CountGate
    ) -> None:
        """A call does on a GPU exactly what it was accepted to do; every later step does what the third one does."""
        count_baseline.check(simulated_pipeline, **self._shortened(pipeline_inputs))

    def test_full_size_denoise_loop_never_syncs(self, simulated_pipeline: Any, pipeline_inputs: PipelineInputs) -> None:
        """Nothing in the published architecture waits, whatever its size decides."""
        inputs = self._shortened(pipeline_inputs)
        assert_no_syncs(simulated_pipeline, allow_syncs=self.allow_syncs, **inputs)

    def _shortened(self, inputs: PipelineInputs) -> PipelineInputs:
        return inputs.varied("few steps", num_inference_steps=self.few_steps)


@pytest.mark.gpu
class OnGpu:
    """What only a GPU can tell, in the seeds' batches."""

    def test_latency(
        self, optimized_pipeline: Any, pipeline_inputs: PipelineInputs, latency_baseline: LatencyGate
    ) -> None:
        """A call takes no longer than it was accepted to take on this GPU."""
        latency_baseline.check(optimized_pipeline, **pipeline_inputs)

    def test_peak_memory(
        self, optimized_pipeline: Any, pipeline_inputs: PipelineInputs, memory_baseline: MemoryGate
    ) -> None:
        """A call holds no more memory at its peak than it was accepted to hold on this GPU."""
        memory_baseline.check(optimized_pipeline, **pipeline_inputs)
