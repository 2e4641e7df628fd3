"""Stable Diffusion XL: tiny and always the same, or as large as it was published."""

from typing import Any

import numpy as np
import pytest
import torch

from pytest_diffopt.pipelines.loading import build_pipeline
from pytest_diffopt.pipelines.published import build_published
from pytest_diffopt.pipelines.scale import Scale
from pytest_diffopt.pipelines.sdxl import SDXL
from pytest_diffopt.records import Weights


def state(pipeline: Any) -> dict[str, torch.Tensor]:
    """Return every parameter and buffer of the modules."""
    modules = {name: part for name, part in pipeline.components.items() if isinstance(part, torch.nn.Module)}
    return {f"{name}.{key}": value for name, module in modules.items() for key, value in module.state_dict().items()}


def test_two_builds_are_the_same_and_leave_torchs_seed_alone() -> None:
    """The same weights whatever was drawn before, and whoever draws afterwards draws what they would have drawn."""
    torch.manual_seed(7)
    first = state(build_pipeline(SDXL, Scale.TINY).pipeline)
    drawn = torch.rand(1)
    second = state(build_pipeline(SDXL, Scale.TINY).pipeline)
    torch.manual_seed(7)

    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert torch.equal(drawn, torch.rand(1))


def test_the_tiny_one_draws_a_picture_of_its_own_each_time_the_same() -> None:
    """A real pipeline: a few hundred thousand parameters, a picture that is neither black nor constant."""
    built = build_pipeline(SDXL, Scale.TINY)
    inputs = SDXL.inputs(Scale.TINY)
    first, second = built.pipeline(**inputs).images, built.pipeline(**inputs).images
    parameters = sum(parameter.numel() for parameter in state(built.pipeline).values())

    assert built.weights is Weights.RANDOM
    assert 100_000 < parameters < 1_000_000
    assert first.shape == (1, 64, 64, 3)
    assert first.std() > 0.01
    assert np.array_equal(first, second)


@pytest.mark.parametrize(
    ("repository", "component", "parameters"),
    [
        ("stable-diffusion-xl-base-1.0", "unet", 2_567_463_684),
        ("sdxl-vae-fp16-fix", "vae", 83_653_863),
        ("stable-diffusion-xl-base-1.0", "text_encoder", 123_060_480),
        ("stable-diffusion-xl-base-1.0", "text_encoder_2", 694_659_840),
    ],
)
def test_the_full_one_has_as_many_parameters_as_was_published(repository: str, component: str, parameters: int) -> None:
    """Counted without memory for them."""
    with torch.device("meta"):
        module = build_published(repository, component)

    assert sum(parameter.numel() for parameter in module.parameters()) == parameters


@pytest.mark.parametrize("scale", list(Scale))
def test_variations_differ_from_the_plain_call_and_say_how(scale: Scale) -> None:
    """Each has a label of its own; the picture's size stays, because another size may compile once more."""
    plain, variations = SDXL.inputs(scale), SDXL.variations(scale)

    assert len({variation.label for variation in variations}) == len(variations)
    assert all(variation["height"] == plain["height"] for variation in variations)
