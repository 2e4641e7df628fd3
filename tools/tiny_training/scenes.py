"""The images that the tiny pipelines are trained on: thousands of scenes, drawn once, the same for every seed."""

import random
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from pytest_diffopt.pipelines.scenes import COLORS, Place, Scene, Shape, Size

_MENTION_SHAPE = 0.9  # else the caption says "shape", for what a ControlNet adds
_MIDDLE_MEDIUM = 0.4  # how many scenes have the plainest caption


@dataclass(frozen=True, kw_only=True, slots=True)
class Scenes:
    """Scenes with their images.

    Attributes:
        scenes: what each image shows.
        images: (number, 3, width, width), uint8.
    """

    scenes: Sequence[Scene]
    images: torch.Tensor

    def image(self, chosen: torch.Tensor) -> torch.Tensor:
        """Return images as a model takes them: (batch, 3, width, width), float32 from -1 to 1."""
        return self.images[chosen].float() / 127.5 - 1

    def edges(self, chosen: torch.Tensor) -> torch.Tensor:
        """Return the shapes' outlines: (batch, 3, width, width), float32 from 0 to 1."""
        width = self.images.shape[-1]
        outlines = np.stack([self.scenes[number].edges(width) for number in chosen.tolist()])
        return torch.from_numpy(outlines).permute(0, 3, 1, 2).float() / 255

    def captions(
        self, chosen: torch.Tensor, generator: torch.Generator, *, vague: float = 1 - _MENTION_SHAPE
    ) -> list[str]:
        """Return a caption for each; `vague` is the part that says "shape" instead of what it is."""
        dice = torch.rand(len(chosen), generator=generator).tolist()
        return [
            _vague(self.scenes[number]) if roll < vague else self.scenes[number].caption
            for number, roll in zip(chosen.tolist(), dice, strict=True)
        ]


def draw_scenes(number: int, *, width: int, seed: int) -> Scenes:
    """Draw scenes of random shape, color, place and size."""
    scenes = imagine_scenes(number, seed=seed)
    images = np.stack([scene.image(width) for scene in scenes])
    return Scenes(scenes=scenes, images=torch.from_numpy(images).permute(0, 3, 1, 2).contiguous())


def imagine_scenes(number: int, *, seed: int) -> list[Scene]:
    """Return scenes of random shape, color, place and size."""
    dice = random.Random(seed)  # noqa: S311 - images are no secrets
    return [_random_scene(dice) for _ in range(number)]


def _random_scene(dice: random.Random) -> Scene:
    color, background = dice.sample(sorted(COLORS), 2)
    plain = dice.random() < _MIDDLE_MEDIUM
    place = Place.MIDDLE if plain else dice.choice(list(Place))
    fitting = list(Size) if place is Place.MIDDLE else [Size.SMALL, Size.MEDIUM]  # a large one must not be cut off
    return Scene(
        shape=dice.choice(list(Shape)),
        color=color,
        background=background,
        place=place,
        size=Size.MEDIUM if plain else dice.choice(fitting),
        shift=(dice.uniform(-0.03, 0.03), dice.uniform(-0.03, 0.03)),
        growth=dice.uniform(0.93, 1.07),
    )


def _vague(scene: Scene) -> str:
    return scene.caption.replace(f" {scene.shape} ", " shape ")
