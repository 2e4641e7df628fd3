"""A modular pipeline of diffusers, whose blocks open a progress bar that is not the pipeline's, goes through guards."""

import pytest

CONFTEST = """
import pytest
from diffusers.modular_pipelines.qwenimage import QwenImageAutoBlocks
from pytest_diffopt import PipelineInputs
from pytest_diffopt.pipelines.qwen_image import QWEN_IMAGE

def build():
    pipeline = QwenImageAutoBlocks().init_pipeline()
    parts = {name: part for name, part in QWEN_IMAGE.build_tiny().components.items() if part is not None}
    pipeline.update_components(**parts)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline

@pytest.fixture(scope="module")
def optimized_pipeline(diffopt_recipe):
    return diffopt_recipe.apply(build())

@pytest.fixture(scope="module")
def reference_pipeline():
    return build()

@pytest.fixture
def pipeline_inputs():
    call = {"prompt": "a red circle", "negative_prompt": " ", "num_inference_steps": 3, "height": 32, "width": 32}
    return PipelineInputs({**call, "output_type": "np"})
"""
CASE = """
import pytest
from pytest_diffopt import AllowedSyncs
from pytest_diffopt import assert_no_syncs, assert_optimizations_applied, assert_repeatable, assert_same_images

COPIES = AllowedSyncs(
    where="transformer_qwenimage.py:compute_text_seq_len_from_mask",
    per_step=2,
    reason="the modular blocks pass a mask, whose length is made on the host (diffusers 0.42)",
)
pytestmark = pytest.mark.diffopt(recipe="bf16")

def test_applied(optimized_pipeline, pipeline_inputs):
    assert_optimizations_applied(optimized_pipeline, **pipeline_inputs)

def test_syncs(optimized_pipeline, pipeline_inputs):
    {inject}
    assert_no_syncs(optimized_pipeline, allow_syncs=[COPIES], **pipeline_inputs)

def test_image(optimized_pipeline, reference_pipeline, pipeline_inputs):
    assert_same_images(optimized_pipeline, reference_pipeline, **pipeline_inputs)

def test_repeated(optimized_pipeline, pipeline_inputs):
    assert_repeatable(optimized_pipeline, output="images", **pipeline_inputs)

def test_counts(optimized_pipeline, pipeline_inputs, count_baseline):
    count_baseline.check(optimized_pipeline, **pipeline_inputs)
"""


def run(project: pytest.Pytester, inject: str = "") -> pytest.RunResult:
    """Run the tests, and accept the counts."""
    project.makeconftest(CONFTEST)
    project.makepyfile(test_it=CASE.format(inject=inject or "assert optimized_pipeline"))
    return project.runpytest_inprocess("--diffopt-update=missing", "-v")


def test_a_modular_pipeline_passes_every_guard(project: pytest.Pytester) -> None:
    """Its loop is found through its scheduler."""
    result = run(project)

    result.assert_outcomes(passed=5)
    result.stdout.fnmatch_lines(["passed *syncs *QwenImageModularPipeline *bf16 *2 syncs in the first step*"])


def test_a_sync_in_a_modular_pipeline_fails(project: pytest.Pytester) -> None:
    """In each of its steps."""
    inject = (
        "block = optimized_pipeline.transformer.transformer_blocks[0]; forward = block.forward; "
        "block.forward = lambda *args, **kwargs: (forward(*args, **kwargs), args or "
        "kwargs['hidden_states'].sum().item())[0]"
    )
    result = run(project, inject)

    result.assert_outcomes(passed=4, failed=1)
    result.stdout.fnmatch_lines(
        ["diffopt: the denoise loop synchronizes the CPU with the GPU: 2 syncs per step (0 allowed)"]
    )
