"""What every lesson is: which components it trains, on what, and how wrong they are."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from tools.tiny_training.scenes import Scenes, draw_scenes

Models = Mapping[str, Any]
_SCENES = 12_288
_SEED = 0


@dataclass(kw_only=True)
class Lesson(ABC):
    """One training run.

    Attributes:
        name: the component that it is about.
        uses: trained components that stay as they are.
        starts_from: a trained component whose parameters it begins with, where they fit.
        steps: optimizer steps.
        batch_size: images a step.
        learning_rate: the highest, after the warm-up.
        width: pixels of its images.
    """

    name: str
    uses: tuple[str, ...] = ()
    starts_from: str = ""
    steps: int = 8000
    batch_size: int = 16
    learning_rate: float = 1e-3
    width: int = 64

    def begin(self, models: Models, cache: Path) -> None:  # noqa: ARG002 - what some lessons need
        """Draw the images; what else is worth computing once goes into the cache."""
        self.scenes: Scenes = draw_scenes(_SCENES, width=self.width, seed=_SEED)

    def helpers(self, models: Models) -> dict[str, torch.nn.Module]:  # noqa: ARG002 - what some lessons need
        """Return what is trained along and thrown away."""
        return {}

    @abstractmethod
    def loss(self, models: Models, chosen: torch.Tensor, dice: torch.Generator) -> torch.Tensor:
        """Return how wrong the models are about the chosen images, a scalar; all chance comes from `dice`."""

    def finish(self, models: Models) -> None:  # noqa: B027 - few lessons have something to settle
        """Settle what the published configuration asks of trained weights."""
