"""The tiny pipelines draw what they are told: a person would say so, and here the judge does.

A judge who knows nothing of the prompt says which colours and which shape each picture shows.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from pytest_diffopt.pipelines.scenes import Scene
from tools.tiny_training.drawing import draw, scenes_to_draw
from tools.tiny_training.judge import Seen, look_at

SCENES = scenes_to_draw()[:24]
COLOURS_RIGHT, SHAPES_RIGHT = 0.95, 0.85
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
]


def parts_right(pictures: Sequence[NDArray[np.uint8]], scenes: Sequence[Scene]) -> tuple[float, float]:
    """Return how many pictures have the right colours, and the right shape."""
    seen: list[Seen] = [look_at(picture) for picture in pictures]
    colours = [view.has_colours_of(scene) for view, scene in zip(seen, scenes, strict=True)]
    shapes = [view.shape is scene.shape for view, scene in zip(seen, scenes, strict=True)]
    return sum(colours) / len(scenes), sum(shapes) / len(scenes)


@pytest.mark.parametrize("name", DRAWING)
def test_the_picture_follows_the_prompt(name: str) -> None:
    """Both colours and the shape, over each shape and every colour on another."""
    colours, shapes = parts_right(draw(name, SCENES), SCENES)

    assert colours >= COLOURS_RIGHT
    assert shapes >= SHAPES_RIGHT


def test_another_prompt_gives_another_picture() -> None:
    """What the judge sees follows what was asked, not what the noise happened to be."""
    swapped = [replace(scene, colour=scene.background, background=scene.colour) for scene in SCENES[:8]]
    colours, _ = parts_right(draw("sd15", swapped), swapped)
    wrong, _ = parts_right(draw("sd15", swapped), SCENES[:8])

    assert colours >= COLOURS_RIGHT
    assert wrong == 0
