"""The videos that the tiny pipelines draw: one colored shape that moves over a colored background, and its caption."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from pytest_diffopt.pipelines.scenes import Scene

_TRAVEL = 0.12  # from the shape's position to where it starts, and to where it ends, as a fraction of the width


class Motion(StrEnum):
    """The direction in which a shape moves; captions omit a still one."""

    STILL = "still"
    LEFT = "left"
    RIGHT = "right"
    UP = "up"
    DOWN = "down"


_DIRECTIONS = {
    Motion.STILL: (0, 0),
    Motion.LEFT: (-1, 0),
    Motion.RIGHT: (1, 0),
    Motion.UP: (0, -1),
    Motion.DOWN: (0, 1),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class MovingScene(Scene):
    """One scene whose shape moves at a constant speed and is at its position in the middle of the video.

    Attributes:
        motion: the direction.
    """

    motion: Motion = Motion.STILL

    @property
    def caption(self) -> str:
        """The prompt for this scene, such as "a red circle on a blue background, moving right"."""
        still = super(MovingScene, self).caption  # `slots` replaces the class that `super()` would refer to
        return still if self.motion is Motion.STILL else f"{still}, moving {self.motion}"

    def frames(self, number: int = 9, width: int = 32) -> NDArray[np.uint8]:
        """Draw every frame.

        Returns:
            The frames, uint8, (number, width, width, 3).
        """
        return np.stack([self._at(travel).image(width) for travel in np.linspace(-_TRAVEL, _TRAVEL, number)])

    def _at(self, travel: float) -> Scene:
        x, y = _DIRECTIONS[self.motion]
        return replace(self, shift=(self.shift[0] + travel * x, self.shift[1] + travel * y))


def motion_words() -> Iterator[str]:
    """Yield the words that only captions of videos contain."""
    yield from ("moving", Motion.UP, Motion.DOWN)
