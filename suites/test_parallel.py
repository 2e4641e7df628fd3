"""Several processes draw together what one process draws: on the CPU, for each transformer that diffusers can split.

LTX-2 is missing: diffusers 0.42.1 splits its rotary positions by their second dimension of three, but those of the
published `rope_type="split"` have four, so that each call raises in `apply_split_rotary_emb`.
"""

from typing import Any

import pytest

from pytest_diffopt import PipelineInputs, assert_same_images_in_parallel

_FEW_STEPS = 2
TOKENS_SPLIT = ["flux", "flux2-klein", "qwen-image", "qwen-image-edit", "wan-t2v-1.3b", "wan-t2v-a14b"]
ULYSSES = "context_parallel(ulysses=2, anything=True)"
# diffusers calls what torch 2.13 deprecated.
DEPRECATED = pytest.mark.filterwarnings("ignore:.*all_gather_tensor:FutureWarning")
COMPILED = 'context_parallel(ulysses=2) + compile(target=["denoiser"], regional=True)'


@pytest.mark.diffopt(pipeline=TOKENS_SPLIT, recipe=ULYSSES)
def test_tokens_are_split(reference_pipeline: Any, pipeline_inputs: PipelineInputs) -> None:
    """Each process computes half of the tokens, and attention exchanges them; an odd number of tokens is padded."""
    assert_same_images_in_parallel(reference_pipeline, **_few_steps(pipeline_inputs))


@pytest.mark.diffopt(pipeline=["flux", "flux2-klein"], recipe="tensor_parallel")
def test_weights_are_split(reference_pipeline: Any, pipeline_inputs: PipelineInputs) -> None:
    """Each process holds half of the heads and of the hidden units, and adds its part of each sum."""
    assert_same_images_in_parallel(reference_pipeline, **_few_steps(pipeline_inputs))


@pytest.mark.diffopt(pipeline="qwen-image", recipe="tensor_parallel(degree=3)")
def test_weights_are_split_in_three(reference_pipeline: Any, pipeline_inputs: PipelineInputs) -> None:
    """The tiny Qwen-Image has three heads."""
    assert_same_images_in_parallel(reference_pipeline, **_few_steps(pipeline_inputs))


@DEPRECATED
@pytest.mark.diffopt(pipeline="flux", recipe="lora + context_parallel(ulysses=2)")
def test_an_adapter_beside_split_tokens(reference_pipeline: Any, pipeline_inputs: PipelineInputs) -> None:
    """Each process has the whole adapter."""
    assert_same_images_in_parallel(reference_pipeline, **_few_steps(pipeline_inputs))


@DEPRECATED
@pytest.mark.diffopt(pipeline="flux", recipe="context_parallel(ulysses=2) + group_offload")
def test_offload_beside_split_tokens(reference_pipeline: Any, pipeline_inputs: PipelineInputs) -> None:
    """Hooks of both kinds are in place; on the CPU nothing moves."""
    assert_same_images_in_parallel(reference_pipeline, **_few_steps(pipeline_inputs))


@DEPRECATED
@pytest.mark.diffopt(pipeline="flux", recipe=COMPILED)
def test_compiled_blocks_exchange_tokens(reference_pipeline: Any, pipeline_inputs: PipelineInputs) -> None:
    """The collectives of attention are in the compiled blocks."""
    assert_same_images_in_parallel(reference_pipeline, **_few_steps(pipeline_inputs))


def _few_steps(inputs: PipelineInputs) -> PipelineInputs:
    return inputs.varied("few steps", num_inference_steps=_FEW_STEPS)
