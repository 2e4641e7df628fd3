"""A size that is not a whole number of latents is rejected before anything runs."""

from typing import Any

import pytest

from pytest_diffopt.errors import PipelineError
from pytest_diffopt.pipelines.loading import build_pipeline
from pytest_diffopt.pipelines.registry import find_pipeline
from pytest_diffopt.pipelines.scale import Scale
from pytest_diffopt.pipelines.sizes import require_divisible_sizes

CLASSES = {"sd15": "StableDiffusionPipeline", "sd3": "StableDiffusion3Pipeline", "flux": "FluxPipeline"}


def tiny(name: str) -> Any:
    """Build the tiny pipeline."""
    return build_pipeline(find_pipeline(name), Scale.TINY).pipeline


@pytest.mark.parametrize("name", CLASSES)
@pytest.mark.parametrize(
    ("keyword", "size", "nearest"), [("height", 65, 64), ("width", 63, 64), ("width", 4, 8), ("height", 0, 8)]
)
def test_a_size_that_cannot_be_drawn_is_an_error(name: str, keyword: str, size: int, nearest: int) -> None:
    """The divisor is 8 pixels: diffusers' rule for UNets, and 2 x 2 latents of 4 pixels for the transformers."""
    with pytest.raises(PipelineError) as error:
        require_divisible_sizes(tiny(name), {"height": 64, "width": 64, keyword: size})

    assert str(error.value) == (
        f"{keyword} must be a multiple of 8 pixels for {CLASSES[name]} (its VAE has 4 pixels per latent), "
        f"got: {size}; the nearest is {nearest}"
    )


@pytest.mark.parametrize("name", [*CLASSES, "pixart-alpha"])
def test_the_divisor_matches_what_the_pipeline_draws(name: str) -> None:
    """65 pixels are rejected, and each pipeline draws 72."""
    pipeline, call = tiny(name), find_pipeline(name).inputs(Scale.TINY).varied("two steps", num_inference_steps=2)

    require_divisible_sizes(pipeline, {"height": 72})
    assert pipeline(**call.varied("72", height=72)).images.shape == (1, 72, 64, 3)
    with pytest.raises(PipelineError):
        require_divisible_sizes(pipeline, {"height": 65})


@pytest.mark.parametrize("inputs", [{}, {"height": None}, {"height": 512}, {"size": 65}])
def test_a_call_without_a_size_is_accepted(inputs: dict[str, Any]) -> None:
    """The pipeline's default size applies."""
    require_divisible_sizes(tiny("sd15"), inputs)


@pytest.mark.parametrize("name", ["deepfloyd-if-1", "deepfloyd-if"])
def test_a_pipeline_without_latents_accepts_every_size(name: str) -> None:
    """A bare function does too."""
    require_divisible_sizes(tiny(name), {"height": 65})
    require_divisible_sizes(len, {"height": 65})
