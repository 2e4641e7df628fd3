"""A size that does not come out even in latents is refused before anything runs."""

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
    """Eight pixels for a UNet by diffusers' own rule; two by two latents of four pixels for the transformers."""
    with pytest.raises(PipelineError) as error:
        require_divisible_sizes(tiny(name), {"height": 64, "width": 64, keyword: size})

    assert str(error.value) == (
        f"{keyword} must be a multiple of 8 pixels for {CLASSES[name]} (its VAE makes one latent of 4), "
        f"got: {size}; the nearest is {nearest}"
    )


@pytest.mark.parametrize("name", [*CLASSES, "pixart-alpha"])
def test_a_size_that_is_refused_would_not_have_been_drawn(name: str) -> None:
    """No pipeline draws 65 pixels, and each draws 72."""
    pipeline, call = tiny(name), find_pipeline(name).inputs(Scale.TINY).varied("two steps", num_inference_steps=2)

    require_divisible_sizes(pipeline, {"height": 72})
    assert pipeline(**call.varied("72", height=72)).images.shape == (1, 72, 64, 3)
    with pytest.raises(PipelineError):
        require_divisible_sizes(pipeline, {"height": 65})


@pytest.mark.parametrize("inputs", [{}, {"height": None}, {"height": 512}, {"size": 65}])
def test_what_says_no_size_is_left_alone(inputs: dict[str, Any]) -> None:
    """The pipeline's own default holds."""
    require_divisible_sizes(tiny("sd15"), inputs)


@pytest.mark.parametrize("name", ["deepfloyd-if-1", "deepfloyd-if"])
def test_pixels_need_no_latents(name: str) -> None:
    """Nor does a bare function."""
    require_divisible_sizes(tiny(name), {"height": 65})
    require_divisible_sizes(len, {"height": 65})
