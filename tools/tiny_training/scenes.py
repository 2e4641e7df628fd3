"""The pictures that the tiny pipelines are trained on: thousands of scenes, drawn once, the same for every seed."""

import random
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from pytest_diffopt.pipelines.scenes import COLOURS, Place, Scene, Shape, Size

_MENTION_SHAPE = 0.9  # else the caption says "shape", for what a ControlNet adds
_MIDDLE_MEDIUM = 0.4  # how many scenes have the plainest caption


@dataclass(frozen=True, kw_only=True, slots=True)
class Scenes:
    """Scenes with their pictures.

    Attributes:
        scenes: what each picture shows.
        pictures: (number, 3, width, width), uint8.
    """

    scenes: Sequence[Scene]
    pictures: torch.Tensor

    def picture(self, chosen: torch.Tensor) -> torch.Tensor:
        """Return pictures as a model takes them: (batch, 3, width, width), float32 from -1 to 1."""
        return self.pictures[chosen].float() / 127.5 - 1

    def edges(self, chosen: torch.Tensor) -> torch.Tensor:
        """Return the shapes' outlines: (batch, 3, width, width), float32 from 0 to 1."""
        width = self.pictures.shape[-1]
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
    """Draw scenes of random shape, colour, place and size."""
    scenes = imagine_scenes(number, seed=seed)
    pictures = np.stack([scene.picture(width) for scene in scenes])
    return Scenes(scenes=scenes, pictures=torch.from_numpy(pictures).permute(0, 3, 1, 2).contiguous())


def imagine_scenes(number: int, *, seed: int) -> list[Scene]:
    """Return scenes of random shape, colour, place and size."""
    dice = random.Random(seed)  # noqa: S311 - pictures are no secrets
    return [_random_scene(dice) for _ in range(number)]


def _random_scene(dice: random.Random) -> Scene:
    colour, background = dice.sample(sorted(COLOURS), 2)
    plain = dice.random() < _MIDDLE_MEDIUM
    place = Place.MIDDLE if plain else dice.choice(list(Place))
    fitting = list(Size) if place is Place.MIDDLE else [Size.SMALL, Size.MEDIUM]  # a large one must not be cut off
    return Scene(
        shape=dice.choice(list(Shape)),
        colour=colour,
        background=background,
        place=place,
        size=Size.MEDIUM if plain else dice.choice(fitting),
        shift=(dice.uniform(-0.03, 0.03), dice.uniform(-0.03, 0.03)),
        growth=dice.uniform(0.93, 1.07),
    )


def _vague(scene: Scene) -> str:
    return scene.caption.replace(f" {scene.shape} ", " shape ")
