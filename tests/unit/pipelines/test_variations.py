"""The usual variations change one thing at a time, of what the plain call has."""

import pytest

from pytest_diffopt.pipelines.inputs import PipelineInputs
from pytest_diffopt.pipelines.variations import usual_variations


def labels(**call: object) -> list[str]:
    """Return what the variations of this call are named."""
    return [one.label for one in usual_variations(PipelineInputs(call))]


def test_everything_that_a_call_has_is_varied() -> None:
    """In the order in which the calls are made."""
    assert labels(prompt="a red circle", guidance_scale=7.5, num_inference_steps=4) == [
        "the same call again",
        "a longer prompt",
        "a one-word prompt",
        "guidance_scale=10",
        "num_inference_steps=5",
        "another seed",
    ]


@pytest.mark.parametrize("guidance", [1.0, 0.0, None])
def test_guidance_that_is_off_stays_off(guidance: float | None) -> None:
    """It would double the batch, and so the shapes."""
    assert labels(guidance_scale=guidance) == ["the same call again", "another seed"]


def test_what_a_call_lacks_is_not_varied() -> None:
    """Embeddings in place of a prompt stay as they are; every stage takes one step more."""
    assert labels(prompt_embeds=object(), num_inference_steps=(3, 4)) == [
        "the same call again",
        "num_inference_steps=(4, 5)",
        "another seed",
    ]


def test_the_plain_calls_seed_is_counted_on() -> None:
    """Only the last call has another one."""
    assert [one.seed for one in usual_variations(PipelineInputs({"prompt": "p"}, seed=5))] == [5, 5, 5, 6]
