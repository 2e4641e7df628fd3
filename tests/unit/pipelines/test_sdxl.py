"""SDXL: the same small pipeline at every build, and the published architecture to the last parameter."""

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import StableDiffusionXLPipeline

from pytest_diffopt.pipelines.loading import build_pipeline
from pytest_diffopt.pipelines.scale import Scale
from pytest_diffopt.pipelines.sdxl import SDXL
from pytest_diffopt.records import Weights
from tests.unit.tiny_pipelines import INPUTS, tiny_sdxl

MODULES = ("unet", "vae", "text_encoder", "text_encoder_2")


def parameters(pipeline: Any) -> dict[str, torch.Tensor]:
    """Return every parameter by its full name."""
    return {
        f"{module}.{name}": parameter
        for module in MODULES
        for name, parameter in getattr(pipeline, module).named_parameters()
    }


def test_every_build_has_the_same_weights() -> None:
    """Whatever torch's generator was at; and building moves it nowhere."""
    torch.manual_seed(1)
    first = parameters(tiny_sdxl())
    torch.manual_seed(2)
    before = torch.get_rng_state()
    second = parameters(tiny_sdxl())

    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert torch.equal(torch.get_rng_state(), before)


def test_two_calls_give_the_same_picture() -> None:
    """Two builds too; the picture is neither constant nor broken."""
    pipeline = tiny_sdxl()
    first, second, other = (one(**INPUTS).images for one in (pipeline, pipeline, tiny_sdxl()))

    assert first.shape == (1, 64, 64, 3)
    assert np.array_equal(first, second)
    assert np.array_equal(first, other)
    assert np.isfinite(first).all()
    assert np.ptp(first) > 0.1


def test_it_is_tiny() -> None:
    """Under a million parameters, on the CPU, in single precision."""
    tensors = parameters(tiny_sdxl()).values()

    assert sum(tensor.numel() for tensor in tensors) == 711_555
    assert {(tensor.device.type, tensor.dtype) for tensor in tensors} == {("cpu", torch.float32)}


def test_what_is_built_says_where_it_comes_from() -> None:
    """A tiny pipeline never looks for weights."""
    built = build_pipeline(SDXL, Scale.TINY)

    assert type(built.pipeline) is StableDiffusionXLPipeline
    assert (built.weights, built.origin) == (Weights.RANDOM, "random, seeded (tiny)")


def test_its_variations_are_calls_that_differ_as_labelled() -> None:
    """None of them may compile anything anew: the same shapes, another prompt, guidance, number of steps or seed."""
    plain, variations = SDXL.inputs(Scale.TINY), SDXL.variations(Scale.TINY)
    changed = [
        {name: one[name] for name in one if name != "generator" and one[name] != plain[name]} for one in variations
    ]

    assert [one.label for one in variations] == [
        "the same call again",
        "a longer prompt",
        "guidance_scale=7.5",
        "num_inference_steps=5",
        "another seed",
    ]
    assert [list(change) for change in changed] == [[], ["prompt"], ["guidance_scale"], ["num_inference_steps"], []]
    assert [one.seed for one in variations] == [0, 0, 0, 0, 1]


def test_both_scales_are_called_with_the_same_keywords() -> None:
    """A test that was written for one scale runs at the other; at full scale the call is the published one."""
    tiny, full = SDXL.inputs(Scale.TINY), SDXL.inputs(Scale.FULL)

    assert list(tiny) == list(full)
    assert (full["num_inference_steps"], full["height"], full["width"]) == (30, 1024, 1024)


@pytest.fixture(scope="module")
def published() -> Any:
    """Build the published architecture without memory for it."""
    with torch.device("meta"):
        return SDXL.build_random()


@pytest.mark.parametrize(
    ("module", "count"),
    [
        ("unet", 2_567_463_684),
        ("vae", 83_653_863),
        ("text_encoder", 123_060_480),
        ("text_encoder_2", 694_659_840),
    ],
)
def test_the_full_scale_is_the_published_architecture(published: Any, module: str, count: int) -> None:
    """The counts are those of the published weights."""
    assert sum(parameter.numel() for parameter in getattr(published, module).parameters()) == count


def test_both_scales_have_the_same_classes(published: Any) -> None:
    """What is guarded in the small one is what runs in the large one."""
    tiny = tiny_sdxl()

    assert {name: type(part) for name, part in published.components.items()} == {
        name: type(part) for name, part in tiny.components.items()
    }
    assert published.scheduler.config.items() <= tiny.scheduler.config.items()


def test_the_tiny_unet_has_the_published_shape(published: Any) -> None:
    """Three levels of growing width, attention everywhere but in the first, deepest in the last."""
    tiny = tiny_sdxl().unet.config

    assert tiny.down_block_types == tuple(published.unet.config.down_block_types)
    assert tiny.up_block_types == tuple(published.unet.config.up_block_types)
    assert all(narrow < wide for narrow, wide in pairwise(tiny.block_out_channels))


def test_its_scheduler_is_on_the_cpu_wherever_it_is_built(published: Any) -> None:
    """As `from_pretrained` leaves it: diffusers turns its tables into numpy's, which no other device allows."""
    published.scheduler.set_timesteps(30)

    assert published.scheduler.alphas_cumprod.device.type == "cpu"
    assert len(published.scheduler.timesteps) == 30
