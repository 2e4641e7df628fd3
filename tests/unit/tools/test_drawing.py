"""Videos of scenes are drawn with the tiny pipelines' own calls."""

import numpy as np

from pytest_diffopt.pipelines.moving_scenes import Motion
from pytest_diffopt.pipelines.scenes import COLORS, Shape
from tools.tiny_training.drawing import draw_videos, moving_scenes_to_draw


def test_each_moving_scene_is_one_video() -> None:
    """The frames have the values of pixels, and another prompt gives other frames."""
    first, second = draw_videos("wan-t2v-1.3b", moving_scenes_to_draw()[:2], steps=1)

    assert first.shape == second.shape == (9, 32, 32, 3)
    assert first.dtype == second.dtype == np.uint8
    assert min(first.std(), second.std()) > 10
    assert not np.array_equal(first, second)


def test_the_moving_scenes_have_every_shape_color_background_and_motion() -> None:
    """So a classifier of 24 videos sees each of them."""
    scenes = moving_scenes_to_draw()

    assert len(scenes) == 24
    assert {scene.shape for scene in scenes} == set(Shape)
    assert {scene.motion for scene in scenes} == set(Motion)
    assert {scene.color for scene in scenes} == {scene.background for scene in scenes} == set(COLORS)
