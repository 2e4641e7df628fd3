"""The tiny pipelines draw what the prompt describes.

A classifier without access to the prompt determines the colors and the shape in each image.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from pytest_diffopt.pipelines.scenes import COLORS, Scene, Shape
from tools.tiny_training.drawing import draw, draw_videos, moving_scenes_to_draw, scenes_to_draw
from tools.tiny_training.judge import describe, motion_of

SCENES = scenes_to_draw()[:24]
#: DeepFloyd IF denoises pixels instead of latents, and its chain draws one scene per call, so a scene takes longer.
#: Its fewer scenes have every shape, color and background, too, and the same limits.
FEWER_SCENES = {"deepfloyd-if-1": 12, "deepfloyd-if-2": 12, "deepfloyd-if-3": 12, "deepfloyd-if": 8}
COLORS_RIGHT, SHAPES_RIGHT = 0.95, 0.85
DRAWING = [
    "sd15",
    "sd15-img2img",
    "sd15-inpaint",
    "sd15-controlnet",
    "sdxl",
    "sdxl-taesd",
    "ssd-1b",
    "bk-sdm",
    "bk-sdm-taesd",
    "pixart-alpha",
    "sd3",
    "flux",
    "flux-schnell",
    "deepfloyd-if-1",
    "deepfloyd-if-2",
    "deepfloyd-if-3",
    "deepfloyd-if",
    "z-image",
]
DRAWING_VIDEOS = ["wan-t2v-1.3b", "wan-t2v-a14b"]
#: At 32 x 32 pixels the autoencoder rounds corners.
VIDEO_SHAPES_RIGHT, MOTIONS_RIGHT = 0.75, 0.85


def parts_right(images: Sequence[NDArray[np.uint8]], scenes: Sequence[Scene]) -> tuple[float, float]:
    """Return the fractions of images with the right colors and with the right shape."""
    seen = [describe(image) for image in images]
    colors = [view.has_colors_of(scene) for view, scene in zip(seen, scenes, strict=True)]
    shapes = [view.shape is scene.shape for view, scene in zip(seen, scenes, strict=True)]
    return sum(colors) / len(scenes), sum(shapes) / len(scenes)


@pytest.mark.parametrize("name", DRAWING)
def test_the_image_follows_the_prompt(name: str) -> None:
    """Colors and shapes are right in most of the scenes with every shape and color."""
    scenes = SCENES[: FEWER_SCENES.get(name)]
    colors, shapes = parts_right(draw(name, scenes), scenes)

    assert colors >= COLORS_RIGHT
    assert shapes >= SHAPES_RIGHT


@pytest.mark.parametrize("name", DRAWING_VIDEOS)
def test_the_video_follows_the_prompt(name: str) -> None:
    """Colors, shapes and directions are right in most of the moving scenes."""
    scenes = moving_scenes_to_draw()
    videos = draw_videos(name, scenes)
    colors, shapes = parts_right([frames[len(frames) // 2] for frames in videos], scenes)
    motions = [motion_of(frames) is scene.motion for frames, scene in zip(videos, scenes, strict=True)]

    assert colors >= COLORS_RIGHT
    assert shapes >= VIDEO_SHAPES_RIGHT
    assert sum(motions) / len(scenes) >= MOTIONS_RIGHT


@pytest.mark.parametrize("number", sorted({len(SCENES), *FEWER_SCENES.values()}))
def test_the_scenes_have_every_shape_color_and_background(number: int) -> None:
    """So do the fewer ones of pipelines that take long."""
    scenes = SCENES[:number]

    assert {scene.shape for scene in scenes} == set(Shape)
    assert {scene.color for scene in scenes} == {scene.background for scene in scenes} == set(COLORS)


def test_another_prompt_gives_another_image() -> None:
    """The colors follow the prompt, not the noise."""
    swapped = [replace(scene, color=scene.background, background=scene.color) for scene in SCENES[:8]]
    colors, _ = parts_right(draw("sd15", swapped), swapped)
    wrong, _ = parts_right(draw("sd15", swapped), SCENES[:8])

    assert colors >= COLORS_RIGHT
    assert wrong == 0
