"""The little world that the tiny pipelines draw: one colored shape on one colored background, and its caption."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # pytest loads the pipelines at every start, and must not wait for numpy
    import numpy as np
    from numpy.typing import NDArray

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
    """What is drawn."""

    CIRCLE = "circle"
    SQUARE = "square"
    TRIANGLE = "triangle"
    CROSS = "cross"


class Place(StrEnum):
    """Where it lies; the middle is not mentioned in a caption."""

    MIDDLE = "middle"
    LEFT = "left"
    RIGHT = "right"
    TOP = "top"
    BOTTOM = "bottom"


class Size(StrEnum):
    """How large it is; the medium one is not mentioned in a caption."""

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
    """One image of the little world.

    Attributes:
        shape: what is drawn.
        color: its color, a key of `COLORS`.
        background: the color around it.
        place: where it lies.
        size: how large it is.
        shift: how far its centre lies from its place, (x, y), in parts of the image's width.
        growth: how much its radius differs from its size's, as a factor.
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
        """Return what a prompt for this image says: "a small red circle on a blue background, left"."""
        size = "" if self.size is Size.MEDIUM else f"{self.size} "
        place = "" if self.place is Place.MIDDLE else f", {self.place}"
        return f"a {size}{self.color} {self.shape} on a {self.background} background{place}"

    def image(self, width: int = 64) -> "NDArray[np.uint8]":
        """Draw it, smoothed at its edges.

        Returns:
            The image, (width, width, 3).
        """
        from PIL import Image  # noqa: PLC0415 - slow to import

        coverage = Image.fromarray(self.mask(width))
        ground = Image.new("RGB", (width, width), COLORS[self.background])
        ground.paste(Image.new("RGB", (width, width), COLORS[self.color]), mask=coverage)
        return _as_array(ground)

    def mask(self, width: int = 64) -> "NDArray[np.uint8]":
        """Draw how much of each pixel the shape covers, 0 to 255: (width, width)."""
        from PIL import Image, ImageDraw  # noqa: PLC0415 - slow to import

        large = width * _SUPERSAMPLING
        canvas = Image.new("L", (large, large))
        x, y = (large * (centre + moved) for centre, moved in zip(_CENTRES[self.place], self.shift, strict=True))
        _draw(ImageDraw.Draw(canvas), self.shape, x, y, large * _RADII[self.size] * self.growth)
        return _as_array(canvas.resize((width, width), Image.Resampling.BOX))

    def edges(self, width: int = 64) -> "NDArray[np.uint8]":
        """Draw its outline, white on black, as an edge detector would: (width, width, 3)."""
        from PIL import Image, ImageFilter  # noqa: PLC0415 - slow to import

        solid = Image.fromarray(self.mask(width)).point(lambda value: 255 * (value >= 128))  # noqa: PLR2004 - half
        outline = _as_array(solid.filter(ImageFilter.MaxFilter(3))) - _as_array(solid.filter(ImageFilter.MinFilter(3)))
        return _as_array(Image.fromarray(outline).convert("RGB"))


def caption_words() -> Iterator[str]:
    """Yield every word that a caption can hold; the tiny tokenizers know each as one token."""
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


def _as_array(image: Any) -> "NDArray[np.uint8]":
    import numpy as np  # noqa: PLC0415 - slow to import

    return np.asarray(image, dtype=np.uint8)
