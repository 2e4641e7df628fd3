"""The base class of lessons."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from tools.tiny_training.scenes import Scenes, draw_scenes

Models = Mapping[str, Any]
_SEED = 0


@dataclass(kw_only=True)
class Lesson(ABC):
    """One training run.

    Attributes:
        name: the component that is trained.
        uses: trained components that the lesson uses and does not change.
        starts_from: a trained component whose fitting parameters are the starting point; empty for random parameters.
        steps: optimizer steps.
        batch_size: images per step.
        learning_rate: the highest learning rate, after the warm-up.
        muon_rate: the highest learning rate of Muon, which trains the matrices of the model's blocks; zero to train
            all parameters with AdamW.
        width: width of the images in pixels.
        number_of_scenes: number of different training images.
    """

    name: str
    uses: tuple[str, ...] = ()
    starts_from: str = ""
    steps: int = 8000
    batch_size: int = 16
    learning_rate: float = 1e-3
    muon_rate: float = 0.0
    width: int = 64
    number_of_scenes: int = 12_288

    def begin(self, models: Models, cache: Path) -> None:  # noqa: ARG002 - what some lessons need
        """Draw the images; subclasses also compute and cache latents."""
        self.scenes: Scenes = draw_scenes(self.number_of_scenes, width=self.width, seed=_SEED)

    def helpers(self, models: Models) -> dict[str, torch.nn.Module]:  # noqa: ARG002 - what some lessons need
        """Return modules that are trained together with the component and discarded afterwards."""
        return {}

    @abstractmethod
    def loss(self, models: Models, chosen: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """Return the loss for the chosen images, a scalar; all random numbers come from `generator`."""

    def finish(self, models: Models) -> None:  # noqa: B027 - optional
        """Adjust the trained weights to the published configuration."""
