"""The classifier finds the shape and the colors of an image, and no shape in an empty one."""

import numpy as np
import pytest

from pytest_diffopt.pipelines.moving_scenes import Motion, MovingScene
from pytest_diffopt.pipelines.scenes import Place, Scene, Shape
from tools.tiny_training.judge import describe, motion_of
from tools.tiny_training.scenes import draw_scenes, random_moving_scenes


def test_scenes_drawn_by_code_are_classified_correctly() -> None:
    """The shape, colors and place of 200 random scenes are correct."""
    drawn = draw_scenes(200, width=64, seed=5)
    seen = [describe(image.permute(1, 2, 0).numpy()) for image in drawn.images]

    assert [view.shape for view in seen] == [scene.shape for scene in drawn.scenes]
    assert all(view.has_colors_of(scene) for view, scene in zip(seen, drawn.scenes, strict=True))
    assert all(
        view.centre[0] < 0.42 for view, scene in zip(seen, drawn.scenes, strict=True) if scene.place is Place.LEFT
    )


def test_a_noisy_image_is_classified_correctly() -> None:
    """A trained pipeline draws less exact images than code does."""
    scene = Scene(shape=Shape.TRIANGLE, color="yellow", background="purple")
    noise = np.random.default_rng(0).normal(0, 12, (64, 64, 3))
    seen = describe(np.clip(scene.image() + noise, 0, 255).astype(np.uint8))

    assert seen.shape is Shape.TRIANGLE
    assert seen.has_colors_of(scene)


@pytest.mark.parametrize("value", [0, 128, 255])
def test_a_flat_image_has_no_shape(value: int) -> None:
    """Shape and color are None."""
    seen = describe(np.full((64, 64, 3), value, np.uint8))

    assert (seen.shape, seen.color, seen.area) == (None, None, 0.0)


def test_pure_noise_does_not_have_the_colors_of_a_scene() -> None:
    """No image of 50 is classified with both colors."""
    scene = Scene(shape=Shape.CIRCLE, color="red", background="blue")
    noise = np.random.default_rng(0).integers(0, 256, (50, 64, 64, 3), dtype=np.uint8)
    seen = [describe(image) for image in noise]

    assert not any(view.has_colors_of(scene) for view in seen)


def test_moving_scenes_drawn_by_code_are_classified_correctly() -> None:
    """The shape and the colors of the first and the last frame of 60 videos are correct, and the motion."""
    scenes = random_moving_scenes(60, seed=5)
    videos = [scene.frames() for scene in scenes]

    assert [motion_of(frames) for frames in videos] == [scene.motion for scene in scenes]
    for number in (0, -1):
        seen = [describe(frames[number]) for frames in videos]
        assert [view.shape for view in seen] == [scene.shape for scene in scenes]
        assert all(view.has_colors_of(scene) for view, scene in zip(seen, scenes, strict=True))


def test_a_reversed_video_moves_in_the_other_direction() -> None:
    """The classifier sees the order of the frames."""
    frames = MovingScene(shape=Shape.SQUARE, color="red", background="white", motion=Motion.UP).frames()

    assert (motion_of(frames), motion_of(frames[::-1])) == (Motion.UP, Motion.DOWN)


def test_a_flat_video_is_still() -> None:
    """A shape that is not found does not move."""
    assert motion_of(np.full((9, 32, 32, 3), 128, np.uint8)) is Motion.STILL
