"""The judge sees what is drawn, and sees nothing where there is nothing."""

import numpy as np
import pytest

from pytest_diffopt.pipelines.scenes import Place, Scene, Shape
from tools.tiny_training.judge import look_at
from tools.tiny_training.scenes import draw_scenes


def test_the_judge_is_right_about_true_images() -> None:
    """Of two hundred scenes of every kind: shape, colors, and place."""
    drawn = draw_scenes(200, width=64, seed=5)
    seen = [look_at(image.permute(1, 2, 0).numpy()) for image in drawn.images]

    assert [view.shape for view in seen] == [scene.shape for scene in drawn.scenes]
    assert all(view.has_colors_of(scene) for view, scene in zip(seen, drawn.scenes, strict=True))
    assert all(
        view.centre[0] < 0.42 for view, scene in zip(seen, drawn.scenes, strict=True) if scene.place is Place.LEFT
    )


def test_the_judge_forgives_noise() -> None:
    """A trained pipeline draws softer images than code does."""
    scene = Scene(shape=Shape.TRIANGLE, color="yellow", background="purple")
    noise = np.random.default_rng(0).normal(0, 12, (64, 64, 3))
    seen = look_at(np.clip(scene.image() + noise, 0, 255).astype(np.uint8))

    assert seen.shape is Shape.TRIANGLE
    assert seen.has_colors_of(scene)


@pytest.mark.parametrize("value", [0, 128, 255])
def test_a_flat_image_shows_nothing(value: int) -> None:
    """No shape, no color."""
    seen = look_at(np.full((64, 64, 3), value, np.uint8))

    assert (seen.shape, seen.color, seen.area) == (None, None, 0.0)


def test_pure_noise_is_not_taken_for_what_was_asked() -> None:
    """Whatever the judge makes of it, it is seldom both colors and the shape."""
    scene = Scene(shape=Shape.CIRCLE, color="red", background="blue")
    noise = np.random.default_rng(0).integers(0, 256, (50, 64, 64, 3), dtype=np.uint8)
    seen = [look_at(image) for image in noise]

    assert not any(view.has_colors_of(scene) for view in seen)
