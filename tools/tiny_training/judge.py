"""A classifier of the tiny pipelines' images and videos by color and geometry, independent of the prompt."""

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from pytest_diffopt.pipelines.moving_scenes import Motion
from pytest_diffopt.pipelines.scenes import COLORS, Scene, Shape

_BORDER = 3  # pixels at the edge of an image, which are background in every scene
_DIFFERS = 60  # minimum distance of the shape's color from the background's; the maximum is 441
_SMALLEST = 20  # pixels
_LARGE = 64  # pixels; in smaller images the blended pixels at the edges change a shape
_MOVES = 0.1  # minimum distance of a moving shape from the first frame to the last, as a fraction of the width


@dataclass(frozen=True, kw_only=True, slots=True)
class Description:
    """The content of an image.

    Attributes:
        color: the shape's color, a key of `COLORS`; None if no shape is found.
        background: the background's color, a key of `COLORS`.
        shape: the shape; None if no shape is found.
        area: the fraction of the image that the shape covers.
        centre: the shape's centre, (x, y), as fractions of the width and height.
    """

    color: str | None
    background: str
    shape: Shape | None
    area: float
    centre: tuple[float, float]

    def has_colors_of(self, scene: Scene) -> bool:
        """Return whether both colors are those of the scene."""
        return (self.color, self.background) == (scene.color, scene.background)


def describe(image: NDArray[np.uint8]) -> Description:
    """Return the content of an image, uint8, (height, width, 3)."""
    ground = _median(image[_border_of(image)])
    distances = np.linalg.norm(image - ground, axis=-1)
    mask = _largest(distances > _DIFFERS)
    if mask.sum() < _SMALLEST:
        return Description(color=None, background=_nearest(ground), shape=None, area=0.0, centre=(0.5, 0.5))
    inner = ndimage.binary_erosion(mask, iterations=2)
    color = _median(image[inner if inner.any() else mask])
    if len(image) < _LARGE:
        mask = _largest(distances > np.linalg.norm(color - ground) / 2)
    height, width = (axis.mean() / size for axis, size in zip(np.nonzero(mask), mask.shape, strict=True))
    return Description(
        color=_nearest(color),
        background=_nearest(ground),
        shape=_most_similar_shape(mask),
        area=float(mask.mean()),
        centre=(float(width), float(height)),
    )


def motion_of(frames: NDArray[np.uint8]) -> Motion:
    """Return the direction in which the shape of a video moves, (number, height, width, 3); still without a shape."""
    first, last = describe(frames[0]), describe(frames[-1])
    x, y = (end - start for start, end in zip(first.centre, last.centre, strict=True))
    if first.shape is None or last.shape is None or max(abs(x), abs(y)) < _MOVES:
        return Motion.STILL
    if abs(x) > abs(y):
        return Motion.RIGHT if x > 0 else Motion.LEFT
    return Motion.DOWN if y > 0 else Motion.UP


def _median(pixels: NDArray[np.uint8]) -> NDArray[np.float64]:
    return np.asarray(np.median(pixels, axis=0), dtype=np.float64)


def _border_of(image: NDArray[np.uint8]) -> NDArray[np.bool_]:
    border = np.ones(image.shape[:2], dtype=np.bool_)
    border[_BORDER:-_BORDER, _BORDER:-_BORDER] = False
    return border


def _nearest(color: NDArray[np.float64]) -> str:
    return min(COLORS, key=lambda name: float(np.linalg.norm(np.array(COLORS[name]) - color)))


def _largest(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the largest connected part, with its holes filled."""
    parts, number = ndimage.label(mask)
    if not number:
        return mask
    sizes = np.bincount(parts.ravel())[1:]
    return np.asarray(ndimage.binary_fill_holes(parts == 1 + int(sizes.argmax())), dtype=np.bool_)


def _most_similar_shape(mask: NDArray[np.bool_]) -> Shape:
    """Return the shape that overlaps most with the mask when scaled to its bounding box."""
    rows, columns = np.nonzero(mask)
    box = mask[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
    return max(Shape, key=lambda shape: _overlap(_outline(shape, box.shape), box))


def _outline(shape: Shape, size: tuple[int, ...]) -> NDArray[np.bool_]:
    return np.asarray(_large(shape).resize((size[1], size[0]), Image.Resampling.BOX)) > 127  # noqa: PLR2004 - half


@cache
def _large(shape: Shape) -> Image.Image:
    """Draw a shape that fills its image."""
    drawn = Scene(shape=shape, color="red", background="blue").mask(256)
    rows, columns = np.nonzero(drawn)
    return Image.fromarray(drawn[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1])


def _overlap(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    return float((one & other).sum() / (one | other).sum())
