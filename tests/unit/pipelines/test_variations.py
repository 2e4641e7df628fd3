"""The usual variations change one keyword of the plain call at a time."""

import pytest

from pytest_diffopt.pipelines.inputs import PipelineInputs
from pytest_diffopt.pipelines.variations import usual_variations


def labels(**call: object) -> list[str]:
    """Return the labels of this call's variations."""
    return [one.label for one in usual_variations(PipelineInputs(call))]


def test_every_keyword_of_a_call_is_varied() -> None:
    """The labels are in the order of the calls."""
    assert labels(prompt="a red circle", guidance_scale=7.5, num_inference_steps=4) == [
        "the same call again",
        "a longer prompt",
        "a one-word prompt",
        "guidance_scale=10",
        "num_inference_steps=5",
        "another seed",
    ]


def test_true_guidance_is_varied_too() -> None:
    """Qwen-Image has two guidance scales, of which the published model uses the true one."""
    assert labels(true_cfg_scale=4.0) == ["the same call again", "true_cfg_scale=6.5", "another seed"]


@pytest.mark.parametrize("guidance", [1.0, 0.0, None])
def test_guidance_that_is_off_stays_off(guidance: float | None) -> None:
    """Guidance would double the batch and so change the shapes."""
    assert labels(guidance_scale=guidance) == ["the same call again", "another seed"]


def test_what_a_call_lacks_is_not_varied() -> None:
    """Prompt embeddings are not varied; every stage runs one more step."""
    assert labels(prompt_embeds=object(), num_inference_steps=(3, 4)) == [
        "the same call again",
        "num_inference_steps=(4, 5)",
        "another seed",
    ]


def test_another_seed_is_the_plain_seed_plus_one() -> None:
    """Only the last call has another seed."""
    assert [one.seed for one in usual_variations(PipelineInputs({"prompt": "p"}, seed=5))] == [5, 5, 5, 6]
