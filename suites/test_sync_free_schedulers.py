"""Pipelines whose published scheduler waits for the GPU, with one that does not: nothing is allowed to wait.

With their own schedulers they are guarded in their own suites, with an allowance for the lines that are known to wait.
"""

from typing import Any

import pytest

from pytest_diffopt import PipelineInputs, assert_no_syncs, assert_optimizations_applied

WAITING = ["sd15", "sd15-img2img", "sd15-inpaint", "sd15-controlnet", "bk-sdm", "bk-sdm-taesd", "deepfloyd-if-3"]
SYNC_FREE = 'scheduler(use="DPMSolverMultistepScheduler") + begin_index'

pytestmark = pytest.mark.diffopt(pipeline=WAITING, recipe=SYNC_FREE)


def test_denoise_loop_never_syncs(optimized_pipeline: Any, pipeline_inputs: PipelineInputs) -> None:
    """The scheduler is another one, and the CPU queues every step without waiting for the GPU."""
    assert_optimizations_applied(optimized_pipeline)
    assert_no_syncs(optimized_pipeline, **pipeline_inputs)
