"""The judge sees what is drawn, and sees nothing where there is nothing."""

import numpy as np
import pytest

from pytest_diffopt.pipelines.scenes import Place, Scene, Shape
from tools.tiny_training.judge import look_at
from tools.tiny_training.scenes import draw_scenes


def test_the_judge_is_right_about_true_pictures() -> None:
    """Of two hundred scenes of every kind: shape, colours, and place."""
    drawn = draw_scenes(200, width=64, seed=5)
    seen = [look_at(picture.permute(1, 2, 0).numpy()) for picture in drawn.pictures]

    assert [view.shape for view in seen] == [scene.shape for scene in drawn.scenes]
    assert all(view.has_colours_of(scene) for view, scene in zip(seen, drawn.scenes, strict=True))
    assert all(
        view.centre[0] < 0.42 for view, scene in zip(seen, drawn.scenes, strict=True) if scene.place is Place.LEFT
    )


def test_the_judge_forgives_noise() -> None:
    """A trained pipeline draws softer pictures than code does."""
    scene = Scene(shape=Shape.TRIANGLE, colour="yellow", background="purple")
    noise = np.random.default_rng(0).normal(0, 12, (64, 64, 3))
    seen = look_at(np.clip(scene.picture() + noise, 0, 255).astype(np.uint8))

    assert seen.shape is Shape.TRIANGLE
    assert seen.has_colours_of(scene)


@pytest.mark.parametrize("value", [0, 128, 255])
def test_a_flat_picture_shows_nothing(value: int) -> None:
    """No shape, no colour."""
    seen = look_at(np.full((64, 64, 3), value, np.uint8))

    assert (seen.shape, seen.colour, seen.area) == (None, None, 0.0)


def test_pure_noise_is_not_taken_for_what_was_asked() -> None:
    """Whatever the judge makes of it, it is seldom both colours and the shape."""
    scene = Scene(shape=Shape.CIRCLE, colour="red", background="blue")
    noise = np.random.default_rng(0).integers(0, 256, (50, 64, 64, 3), dtype=np.uint8)
    seen = [look_at(picture) for picture in noise]

    assert not any(view.has_colours_of(scene) for view in seen)
