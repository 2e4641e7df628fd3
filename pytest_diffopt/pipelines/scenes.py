"""The scenes that the tiny pipelines draw: one colored shape on a colored background, and its caption."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

COLORS: dict[str, tuple[int, int, int]] = {
    "red": (215, 40, 40),
    "green": (40, 160, 70),
    "blue": (45, 85, 215),
    "yellow": (240, 210, 50),
    "purple": (150, 55, 180),
    "orange": (245, 135, 35),
    "white": (245, 245, 245),
    "black": (20, 20, 20),
}
_SUPERSAMPLING = 4
_CROSS_ARM = 1 / 3


class Shape(StrEnum):
    """The shape in a scene."""

    CIRCLE = "circle"
    SQUARE = "square"
    TRIANGLE = "triangle"
    CROSS = "cross"


class Place(StrEnum):
    """The shape's position; captions omit the middle."""

    MIDDLE = "middle"
    LEFT = "left"
    RIGHT = "right"
    TOP = "top"
    BOTTOM = "bottom"


class Size(StrEnum):
    """The shape's size; captions omit the medium size."""

    SMALL = "small"
    MEDIUM = "medium"
    LARGE = "large"


_CENTRES = {
    Place.MIDDLE: (0.5, 0.5),
    Place.LEFT: (0.3, 0.5),
    Place.RIGHT: (0.7, 0.5),
    Place.TOP: (0.5, 0.3),
    Place.BOTTOM: (0.5, 0.7),
}
_RADII = {Size.SMALL: 0.17, Size.MEDIUM: 0.26, Size.LARGE: 0.36}


@dataclass(frozen=True, kw_only=True, slots=True)
class Scene:
    """One scene.

    Attributes:
        shape: the shape.
        color: the shape's color, a key of `COLORS`.
        background: the background's color, a key of `COLORS`.
        place: the shape's position.
        size: the shape's size.
        shift: the offset of the shape's centre from its position, (x, y), as fractions of the image's width.
        growth: a factor on the shape's radius.
    """

    shape: Shape
    color: str
    background: str
    place: Place = Place.MIDDLE
    size: Size = Size.MEDIUM
    shift: tuple[float, float] = (0.0, 0.0)
    growth: float = 1.0

    @property
    def caption(self) -> str:
        """The prompt for this scene, such as "a small red circle on a blue background, left"."""
        size = "" if self.size is Size.MEDIUM else f"{self.size} "
        place = "" if self.place is Place.MIDDLE else f", {self.place}"
        return f"a {size}{self.color} {self.shape} on a {self.background} background{place}"

    def image(self, width: int = 64) -> NDArray[np.uint8]:
        """Draw the scene with antialiased edges.

        Returns:
            The image, uint8, (width, width, 3).
        """
        coverage = Image.fromarray(self.mask(width))
        ground = Image.new("RGB", (width, width), COLORS[self.background])
        ground.paste(Image.new("RGB", (width, width), COLORS[self.color]), mask=coverage)
        return _as_array(ground)

    def mask(self, width: int = 64) -> NDArray[np.uint8]:
        """Return how much of each pixel the shape covers, 0 to 255, uint8, (width, width)."""
        large = width * _SUPERSAMPLING
        canvas = Image.new("L", (large, large))
        x, y = (large * (centre + moved) for centre, moved in zip(_CENTRES[self.place], self.shift, strict=True))
        _draw(ImageDraw.Draw(canvas), self.shape, x, y, large * _RADII[self.size] * self.growth)
        return _as_array(canvas.resize((width, width), Image.Resampling.BOX))

    def edges(self, width: int = 64) -> NDArray[np.uint8]:
        """Draw the shape's outline, white on black, like an edge detector, uint8, (width, width, 3)."""
        solid = Image.fromarray(self.mask(width)).point(lambda value: 255 * (value >= 128))  # noqa: PLR2004 - half
        outline = _as_array(solid.filter(ImageFilter.MaxFilter(3))) - _as_array(solid.filter(ImageFilter.MinFilter(3)))
        return _as_array(Image.fromarray(outline).convert("RGB"))


def caption_words() -> Iterator[str]:
    """Yield every word that a caption can contain; each is one token of the tiny tokenizers."""
    yield from ("a", "on", "background", "shape")
    for names in (COLORS, Shape, Place, Size):
        yield from (str(name) for name in names)


def _draw(canvas: Any, shape: Shape, x: float, y: float, radius: float) -> None:
    """Fill a shape that is `2 * radius` wide and high around (x, y)."""
    box = (x - radius, y - radius, x + radius, y + radius)
    arm = radius * _CROSS_ARM
    if shape is Shape.CIRCLE:
        canvas.ellipse(box, fill=255)
    elif shape is Shape.TRIANGLE:
        canvas.polygon([(x, y - radius), (x + radius, y + radius), (x - radius, y + radius)], fill=255)
    elif shape is Shape.SQUARE:
        canvas.rectangle(box, fill=255)
    else:
        canvas.rectangle((x - radius, y - arm, x + radius, y + arm), fill=255)
        canvas.rectangle((x - arm, y - radius, x + arm, y + radius), fill=255)


def _as_array(image: Any) -> NDArray[np.uint8]:
    return np.asarray(image, dtype=np.uint8)
