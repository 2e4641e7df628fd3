"""Every level of the ladders of eight more pipelines; `test_ladders.py` tests SDXL's.

Without a GPU each of the seventy levels takes seconds to trace: they run in `make ladders`, and one of them in
`make gate` (conftest.py).
"""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import pytest

from pytest_diffopt import (
    AllowedSyncs,
    KernelGate,
    LatencyGate,
    PipelineInputs,
    assert_images_similar,
    assert_no_graph_breaks,
    assert_no_syncs,
    assert_optimizations_applied,
    assert_optimizations_effective,
)
from pytest_diffopt.null_gpu.activity import is_active
from pytest_diffopt.plugin.markers import NamedPipeline
from pytest_diffopt.recipes.recipe import Recipe
from suites.known_syncs import DEEPFLOYD_IF, FLOW_MATCH_EULER, PNDM

OTHERS = ["sd15", "sd15-controlnet", "deepfloyd-if", "ssd-1b", "pixart-alpha", "bk-sdm", "sd3", "flux-schnell"]


class EveryLevel:
    """Tests for any level."""

    syncs: ClassVar[Mapping[str, Sequence[AllowedSyncs]]]

    def test_every_optimization_is_applied(self, optimized_pipeline: Any, pipeline_inputs: PipelineInputs) -> None:
        """Each optimization of the level acts in a call, and is found in the pipeline afterwards."""
        # Without a GPU, levels are traced: no compilation reads Inductor's flags.
        assert_optimizations_effective(optimized_pipeline, allow_unseen=["inductor"], **pipeline_inputs)
        assert_optimizations_applied(optimized_pipeline)

    def test_compiles_without_graph_breaks(
        self, optimized_pipeline: Any, diffopt_recipe: Recipe, pipeline_inputs: PipelineInputs
    ) -> None:
        """Every compiled module is one graph."""
        if not diffopt_recipe.compiles:
            pytest.skip("this level compiles nothing")
        assert_no_graph_breaks(optimized_pipeline, **pipeline_inputs)

    def test_denoise_loop_never_syncs(
        self, optimized_pipeline: Any, diffopt_pipeline: NamedPipeline, pipeline_inputs: PipelineInputs
    ) -> None:
        """The CPU queues every step without a sync, except for the known syncs of the scheduler."""
        allowed = self.syncs.get(diffopt_pipeline.family.name, ())
        assert_no_syncs(optimized_pipeline, allow_syncs=allowed, **pipeline_inputs)

    def test_image_is_the_reference(
        self, optimized_pipeline: Any, reference_pipeline: Any, pipeline_inputs: PipelineInputs
    ) -> None:
        """The level draws the image of the plain pipeline."""
        assert_images_similar(optimized_pipeline(**pipeline_inputs), reference_pipeline(**pipeline_inputs))

    @pytest.mark.skipif(not is_active(), reason="kernels are counted on the null GPU")
    def test_kernels(
        self, optimized_pipeline: Any, pipeline_inputs: PipelineInputs, kernel_baseline: KernelGate
    ) -> None:
        """The level launches exactly the kernels, library calls and CUDA graphs of the baseline."""
        kernel_baseline.check(optimized_pipeline, **pipeline_inputs)

    @pytest.mark.gpu
    def test_latency(
        self, optimized_pipeline: Any, pipeline_inputs: PipelineInputs, latency_baseline: LatencyGate
    ) -> None:
        """A call is not slower than the baseline of this GPU."""
        latency_baseline.check(optimized_pipeline, **pipeline_inputs)


@pytest.mark.diffopt(pipeline=OTHERS, ladder="diffusion-fast")
class TestArticle(EveryLevel):
    """The article's levels, with the published scheduler."""

    syncs = {  # noqa: RUF012 - declared above
        "sd15": PNDM,
        "sd15-controlnet": PNDM,
        "bk-sdm": PNDM,
        "sd3": FLOW_MATCH_EULER,
        "deepfloyd-if": DEEPFLOYD_IF,
    }


@pytest.mark.diffopt(pipeline=OTHERS, ladder="modern")
class TestToday(EveryLevel):
    """The levels for current torch: only IF synchronizes, because no scheduler of diffusers removes its syncs."""

    syncs = {"deepfloyd-if": DEEPFLOYD_IF}  # noqa: RUF012 - declared above
