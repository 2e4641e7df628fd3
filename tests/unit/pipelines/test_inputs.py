"""The same inputs give the same call, as often as they are unpacked."""

import torch

from pytest_diffopt.pipelines.inputs import PipelineInputs


def test_the_generator_is_new_each_time() -> None:
    """A used generator would draw another picture at the second call."""
    inputs = PipelineInputs({"prompt": "a red circle"}, seed=3)
    first, second = inputs["generator"], inputs["generator"]
    torch.rand(4, generator=first)

    assert first is not second
    assert second.initial_seed() == 3
    assert torch.equal(second.get_state(), inputs["generator"].get_state())


def test_they_unpack_as_keywords() -> None:
    """`pipeline(**inputs)` sees every argument and the generator."""
    inputs = PipelineInputs({"prompt": "a red circle"})

    assert sorted(dict(**inputs)) == ["generator", "prompt"]
    assert len(inputs) == 2
    assert repr(inputs) == "PipelineInputs({'prompt': 'a red circle'}, seed=0)"


def test_a_variation_changes_what_it_names_and_leaves_the_plain_call() -> None:
    """The label says how it differs, for the failure that it may cause."""
    plain = PipelineInputs({"prompt": "a red circle", "guidance_scale": 5.0}, seed=1)
    varied = plain.varied("guidance_scale=7.5", guidance_scale=7.5)

    assert varied["guidance_scale"] == 7.5
    assert varied["prompt"] == "a red circle"
    assert varied.seed == 1
    assert varied.label == "guidance_scale=7.5"
    assert plain["guidance_scale"] == 5.0
    assert plain.varied("another seed", seed=2).seed == 2
