"""Inputs give the same call each time they are unpacked."""

import pytest
import torch

from pytest_diffopt.pipelines.inputs import PipelineInputs

INPUTS = PipelineInputs({"prompt": "a red circle", "height": 64}, seed=3)


def draw(**inputs: object) -> float:
    """Draw from the generator, as a pipeline does."""
    generator = inputs["generator"]
    assert isinstance(generator, torch.Generator)
    return torch.rand(1, generator=generator).item()


def test_each_unpacking_makes_a_fresh_generator() -> None:
    """A used generator would give another image in the second call."""
    assert INPUTS["generator"] is not INPUTS["generator"]
    assert draw(**INPUTS) == draw(**INPUTS) == torch.rand(1, generator=torch.Generator().manual_seed(3)).item()


def test_the_generator_is_on_the_cpu() -> None:
    """The same noise is drawn on every device."""
    assert INPUTS["generator"].device == torch.device("cpu")


def test_it_is_a_mapping_of_keywords() -> None:
    """The generator is one of them, and an unknown keyword raises a KeyError."""
    with pytest.raises(KeyError):
        INPUTS["width"]

    assert list(INPUTS) == ["prompt", "height", "generator"]
    assert len(INPUTS) == 3
    assert (INPUTS["prompt"], INPUTS["height"]) == ("a red circle", 64)


def test_a_variation_changes_only_the_given_keywords() -> None:
    """The original does not change, and the variation has a label for failures."""
    varied = INPUTS.varied("height=128", height=128, guidance_scale=7.5)

    assert {name: varied[name] for name in varied if name != "generator"} == {
        "prompt": "a red circle",
        "height": 128,
        "guidance_scale": 7.5,
    }
    assert (varied.label, varied.seed) == ("height=128", 3)
    assert (INPUTS["height"], INPUTS.label) == (64, "")


@pytest.mark.parametrize("seed", [0, 5])
def test_a_variation_may_have_another_seed(seed: int) -> None:
    """Zero is a valid seed."""
    varied = INPUTS.varied("another seed", seed=seed)

    assert varied.seed == seed
    assert draw(**varied) == torch.rand(1, generator=torch.Generator().manual_seed(seed)).item()


def test_the_arguments_are_copied() -> None:
    """A later change of the dictionary has no effect."""
    given = {"height": 64}
    inputs = PipelineInputs(given)
    given["height"] = 128

    assert inputs["height"] == 64


def test_it_shows_its_arguments_and_its_seed() -> None:
    """Its repr identifies the call in a failure."""
    assert repr(INPUTS) == "PipelineInputs({'prompt': 'a red circle', 'height': 64}, seed=3)"


@pytest.mark.parametrize("seed", [3, None])
def test_the_inputs_of_another_call_can_be_used_again(seed: int | None) -> None:
    """Its generator is replaced by one of the new seed, or by none."""
    again = PipelineInputs(PipelineInputs({"prompt": "a"}, seed=1), seed=seed)

    assert list(again) == ["prompt", *([] if seed is None else ["generator"])]
    assert seed is None or again["generator"].initial_seed() == seed
