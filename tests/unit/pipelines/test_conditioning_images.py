"""Input images are identical on every machine and fit the scale."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from pytest_diffopt.pipelines.conditioning_images import mask, outline, sketch, small_image
from pytest_diffopt.pipelines.scale import Scale


@pytest.mark.parametrize(
    ("image", "mode", "tiny_pixels", "full_pixels"),
    [(sketch, "RGB", 64, 512), (mask, "L", 64, 512), (outline, "RGB", 64, 512), (small_image, "RGB", 32, 64)],
)
def test_an_image_has_the_size_of_its_scale(
    image: Callable[[Scale], Any], mode: str, tiny_pixels: int, full_pixels: int
) -> None:
    """Each call returns a new, identical image."""
    for scale, pixels in ((Scale.TINY, tiny_pixels), (Scale.FULL, full_pixels)):
        first, second = image(scale), image(scale)
        assert (first.mode, first.size) == (mode, (pixels, pixels))
        assert first == second
        assert first is not second


@pytest.mark.parametrize("scale", Scale)
def test_a_mask_is_black_and_white_with_a_disc_in_the_middle(scale: Scale) -> None:
    """The disc covers about 40 % of the image."""
    values = np.asarray(mask(scale))

    assert set(np.unique(values)) == {0, 255}
    assert values[len(values) // 2, len(values) // 2] == 255
    assert 0.35 < (values == 255).mean() < 0.42


@pytest.mark.parametrize("scale", Scale)
def test_an_outline_is_thin_and_not_empty(scale: Scale) -> None:
    """The edges are white on black and exclude the image's border."""
    values = np.asarray(outline(scale))[..., 0]

    assert set(np.unique(values)) == {0, 255}
    assert 0.005 < (values == 255).mean() < 0.15
    assert not values[[0, -1]].any()
    assert not values[:, [0, -1]].any()


def test_the_sketch_has_many_colors() -> None:
    """An image of one color would not exercise the pipeline."""
    assert len(np.unique(np.asarray(sketch(Scale.FULL)).reshape(-1, 3), axis=0)) >= 7
