"""Pipelines whose published scheduler synchronizes, with a scheduler that does not: no sync is allowed.

Their own suites use the published schedulers, with allowances for the known syncs.
"""

from typing import Any

import pytest

from pytest_diffopt import PipelineInputs, assert_no_syncs, assert_optimizations_applied, assert_optimizations_effective

SYNCING = ["sd15", "sd15-img2img", "sd15-inpaint", "sd15-controlnet", "bk-sdm", "bk-sdm-taesd", "deepfloyd-if-3"]
SYNC_FREE = 'scheduler(use="DPMSolverMultistepScheduler") + begin_index'

pytestmark = pytest.mark.diffopt(pipeline=SYNCING, recipe=SYNC_FREE)


def test_denoise_loop_never_syncs(optimized_pipeline: Any, pipeline_inputs: PipelineInputs) -> None:
    """The pipeline has the other scheduler, and the CPU queues every step without a sync."""
    assert_optimizations_applied(optimized_pipeline)
    assert_optimizations_effective(optimized_pipeline, **pipeline_inputs)
    assert_no_syncs(optimized_pipeline, **pipeline_inputs)
