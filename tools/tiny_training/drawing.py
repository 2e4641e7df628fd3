"""Draw scenes with a tiny pipeline, with the inputs that the pipeline needs."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from pytest_diffopt.pipelines.family import PipelineFamily
from pytest_diffopt.pipelines.loading import build_pipeline
from pytest_diffopt.pipelines.moving_scenes import Motion, MovingScene
from pytest_diffopt.pipelines.registry import find_pipeline
from pytest_diffopt.pipelines.scale import Scale
from pytest_diffopt.pipelines.scenes import COLORS, Scene, Shape
from pytest_diffopt.pipelines.tiny import build_tiny_component
from tools.tiny_training.text import t5_hidden

STEPS = 20
_WIDTH = 64


def scenes_to_draw(colors: Sequence[tuple[str, str]] | None = None) -> list[Scene]:
    """Return one scene for each pair of color and background, 32 by default; the shapes alternate."""
    names = list(COLORS)
    pairs = colors or [(names[i % 8], names[(i + 1 + i // 8) % 8]) for i in range(32)]
    shapes = list(Shape)
    return [
        Scene(shape=shapes[(number + number // 8) % len(shapes)], color=color, background=background)
        for number, (color, background) in enumerate(pairs)
    ]


def draw(name: str, scenes: Sequence[Scene], *, steps: int = STEPS) -> list[NDArray[np.uint8]]:
    """Draw scenes with a tiny pipeline.

    Args:
        name: the pipeline's name.
        scenes: the scenes to draw.
        steps: denoise steps of every stage.

    Returns:
        One image per scene, uint8, (width, width, 3).
    """
    family = find_pipeline(name)
    pipeline = build_pipeline(family, Scale.TINY).pipeline
    calls = [call | {"num_inference_steps": steps} for call in _calls(family, scenes)]
    return [np.rint(image * 255).astype(np.uint8) for call in calls for image in pipeline(**call).images]


def draw_videos(name: str, scenes: Sequence[MovingScene], *, steps: int = STEPS) -> list[NDArray[np.uint8]]:
    """Draw moving scenes with a tiny pipeline.

    Returns:
        The frames of each scene, uint8, (frames, width, width, 3).
    """
    family = find_pipeline(name)
    pipeline = build_pipeline(family, Scale.TINY).pipeline
    call = dict(family.inputs(Scale.TINY)) | {"num_inference_steps": steps}
    videos = pipeline(**call | {"prompt": [scene.caption for scene in scenes]}).frames
    return [np.rint(frames * 255).astype(np.uint8) for frames in videos]


def moving_scenes_to_draw() -> list[MovingScene]:
    """Return 24 scenes with every shape, color, background and motion."""
    motions = list(Motion)
    return [
        MovingScene(
            shape=scene.shape, color=scene.color, background=scene.background, motion=motions[number % len(motions)]
        )
        for number, scene in enumerate(scenes_to_draw()[:24])
    ]


def _calls(family: PipelineFamily, scenes: Sequence[Scene]) -> list[dict[str, Any]]:
    """Return the calls that draw all scenes: one call, or one per scene for a chain, which upscales one image each."""
    plain = dict(family.inputs(Scale.TINY))
    if "num_images_per_prompt" in plain:
        plain["num_images_per_prompt"] = 1
    if family.stages:
        return [plain | {"prompt": scene.caption} | _embeddings([scene]) for scene in scenes]
    prompts = _embeddings(scenes) if "prompt_embeds" in plain else {"prompt": [scene.caption for scene in scenes]}
    return [plain | prompts | _images(family, scenes)]


def _embeddings(scenes: Sequence[Scene]) -> dict[str, torch.Tensor]:
    encoder = build_tiny_component("t5-text-encoder")
    with torch.no_grad():
        hidden, _ = t5_hidden(encoder, [scene.caption for scene in scenes], masked=True)
        empty, _ = t5_hidden(encoder, [""] * len(scenes), masked=True)
    return {"prompt_embeds": hidden, "negative_prompt_embeds": empty}


def _images(family: PipelineFamily, scenes: Sequence[Scene]) -> dict[str, Any]:
    """Return the image inputs of a pipeline that needs them."""
    if family.name == "sd15-controlnet":
        return {"image": [Image.fromarray(scene.edges(_WIDTH)) for scene in scenes]}
    if family.name == "sd15-img2img":
        return {"image": [Image.fromarray(_other(scene).image(_WIDTH)) for scene in scenes]}
    if family.name == "sd15-inpaint":
        masks = [Image.fromarray(np.pad(np.full((48, 48), 255, np.uint8), 8)) for _ in scenes]
        return {"image": [Image.fromarray(_other(scene).image(_WIDTH)) for scene in scenes], "mask_image": masks}
    if family.class_name in {"IFSuperResolutionPipeline", "StableDiffusionUpscalePipeline"}:
        width = _WIDTH // 2 if family.class_name.startswith("IF") else _WIDTH
        return {"image": [Image.fromarray(scene.image(width)) for scene in scenes]}
    return {}


def _other(scene: Scene) -> Scene:
    """Return a scene that differs in shape and color only."""
    shapes, colors = list(Shape), [name for name in COLORS if name not in {scene.color, scene.background}]
    shape = shapes[(shapes.index(scene.shape) + 1) % len(shapes)]
    return Scene(shape=shape, color=colors[0], background=scene.background)
