"""Scenes of the tiny pipelines: the drawn image matches the caption."""

from collections.abc import Callable

import numpy as np
import pytest

from pytest_diffopt.pipelines.scenes import COLORS, Place, Scene, Shape, Size, caption_words
from pytest_diffopt.pipelines.tiny import tiny_clip_tokenizer, tiny_t5_tokenizer

RED_CIRCLE = Scene(shape=Shape.CIRCLE, color="red", background="blue")
LARGE_CROSS = Scene(shape=Shape.CROSS, color="white", background="black", place=Place.TOP, size=Size.LARGE)


def test_a_caption_omits_the_middle_and_the_medium_size() -> None:
    """Other places and sizes are part of the caption."""
    assert RED_CIRCLE.caption == "a red circle on a blue background"
    assert LARGE_CROSS.caption == "a large white cross on a black background, top"


@pytest.mark.parametrize("shape", Shape)
def test_each_shape_has_its_color_inside_and_the_background_outside(shape: Shape) -> None:
    """The middle pixel and a corner pixel are compared."""
    image = Scene(shape=shape, color="red", background="blue").image(64)

    assert image.shape == (64, 64, 3)
    assert tuple(image[32, 32]) == COLORS["red"]
    assert tuple(image[0, 0]) == COLORS["blue"]


@pytest.mark.parametrize(
    ("shape", "part"), [(Shape.CIRCLE, np.pi / 4), (Shape.SQUARE, 1), (Shape.TRIANGLE, 1 / 2), (Shape.CROSS, 5 / 9)]
)
def test_each_shape_covers_its_part_of_its_box(shape: Shape, part: float) -> None:
    """The tolerance of 4 % covers the rounding to pixels."""
    covered = Scene(shape=shape, color="red", background="blue").mask(256).sum() / 255

    assert covered == pytest.approx(part * (2 * 0.26 * 256) ** 2, rel=0.04)


def test_edges_follow_the_outline_only() -> None:
    """The pixels inside and outside the shape are black."""
    edges = Scene(shape=Shape.SQUARE, color="red", background="blue").edges(64)

    assert set(np.unique(edges)) == {0, 255}
    assert edges[32, 32].max() == 0
    assert edges[0, 0].max() == 0
    assert 0 < (edges[..., 0] > 0).mean() < 0.1


def test_a_shift_and_a_growth_move_and_enlarge() -> None:
    """The shift is a fraction of the width, the growth a factor."""
    moved = Scene(shape=Shape.CIRCLE, color="red", background="blue", shift=(0.1, 0.0), growth=1.2)
    columns = np.nonzero(moved.mask(200))[1]

    assert columns.mean() == pytest.approx(0.6 * 200, abs=1)
    assert np.ptp(columns) == pytest.approx(2 * 0.26 * 1.2 * 200, abs=2)


@pytest.mark.parametrize("tokenize", [tiny_clip_tokenizer().tokenize, tiny_t5_tokenizer().tokenize])
def test_every_word_of_a_caption_is_one_token(tokenize: Callable[[str], list[str]]) -> None:
    """A tiny text encoder then need not learn to spell."""
    assert all(len(tokenize(word)) == 1 for word in caption_words())
