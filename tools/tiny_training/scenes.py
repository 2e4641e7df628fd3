"""The training images of the tiny pipelines: thousands of random scenes, reproducible by seed."""

import random
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from pytest_diffopt.pipelines.moving_scenes import Motion, MovingScene
from pytest_diffopt.pipelines.scenes import COLORS, Place, Scene, Shape, Size

_MENTION_SHAPE = 0.9  # other captions contain "shape", so that a ControlNet can define the shape
_MIDDLE_MEDIUM = 0.4  # the fraction of scenes with the plainest caption


@dataclass(frozen=True, kw_only=True, slots=True)
class Scenes:
    """Scenes with their images.

    Attributes:
        scenes: the scene of each image.
        images: (number, 3, width, width), uint8; of videos (number, 3, frames, width, width).
    """

    scenes: Sequence[Scene]
    images: torch.Tensor

    def image(self, chosen: torch.Tensor) -> torch.Tensor:
        """Return images as model inputs, (batch, 3, width, width), float32 from -1 to 1."""
        return self.images[chosen].float() / 127.5 - 1

    def some_images(self, number: int) -> torch.Tensor:
        """Return the first images, as many as there are up to `number`, as model inputs."""
        return self.image(torch.arange(min(number, len(self.scenes))))

    def edges(self, chosen: torch.Tensor) -> torch.Tensor:
        """Return the shapes' outlines: (batch, 3, width, width), float32 from 0 to 1."""
        width = self.images.shape[-1]
        outlines = np.stack([self.scenes[number].edges(width) for number in chosen.tolist()])
        return torch.from_numpy(outlines).permute(0, 3, 1, 2).float() / 255

    def captions(
        self, chosen: torch.Tensor, generator: torch.Generator, *, vague: float = 1 - _MENTION_SHAPE
    ) -> list[str]:
        """Return a caption for each scene; a fraction `vague` of them contains "shape" instead of the shape's name."""
        rolls = torch.rand(len(chosen), generator=generator).tolist()
        return [
            _vague(self.scenes[number]) if roll < vague else self.scenes[number].caption
            for number, roll in zip(chosen.tolist(), rolls, strict=True)
        ]


def draw_scenes(number: int, *, width: int, seed: int) -> Scenes:
    """Draw scenes of random shape, color, place and size."""
    scenes = random_scenes(number, seed=seed)
    images = np.stack([scene.image(width) for scene in scenes])
    return Scenes(scenes=scenes, images=torch.from_numpy(images).permute(0, 3, 1, 2).contiguous())


def random_scenes(number: int, *, seed: int) -> list[Scene]:
    """Return scenes of random shape, color, place and size."""
    rng = random.Random(seed)  # noqa: S311 - not for cryptography
    return [_random_scene(rng) for _ in range(number)]


def draw_moving_scenes(number: int, *, seed: int) -> Scenes:
    """Draw the frames of scenes of random shape, color and motion: (number, 3, frames, width, width)."""
    scenes = random_moving_scenes(number, seed=seed)
    frames = np.stack([scene.frames() for scene in scenes])
    return Scenes(scenes=scenes, images=torch.from_numpy(frames).permute(0, 4, 1, 2, 3).contiguous())


def random_moving_scenes(number: int, *, seed: int) -> list[MovingScene]:
    """Return scenes of random shape, color and motion."""
    rng = random.Random(seed)  # noqa: S311 - not for cryptography
    return [_random_moving_scene(rng) for _ in range(number)]


def _random_moving_scene(rng: random.Random) -> MovingScene:
    color, background = rng.sample(sorted(COLORS), 2)
    return MovingScene(
        shape=rng.choice(list(Shape)),
        color=color,
        background=background,
        shift=(rng.uniform(-0.015, 0.015), rng.uniform(-0.015, 0.015)),
        growth=rng.uniform(0.95, 1.03),
        motion=rng.choice(list(Motion)),
    )


def _random_scene(rng: random.Random) -> Scene:
    color, background = rng.sample(sorted(COLORS), 2)
    plain = rng.random() < _MIDDLE_MEDIUM
    place = Place.MIDDLE if plain else rng.choice(list(Place))
    fitting = list(Size) if place is Place.MIDDLE else [Size.SMALL, Size.MEDIUM]  # a large one must not be cut off
    return Scene(
        shape=rng.choice(list(Shape)),
        color=color,
        background=background,
        place=place,
        size=Size.MEDIUM if plain else rng.choice(fitting),
        shift=(rng.uniform(-0.03, 0.03), rng.uniform(-0.03, 0.03)),
        growth=rng.uniform(0.93, 1.07),
    )


def _vague(scene: Scene) -> str:
    return scene.caption.replace(f" {scene.shape} ", " shape ")
