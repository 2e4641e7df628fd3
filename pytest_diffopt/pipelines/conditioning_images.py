"""What a pipeline is given to start from: a sketch, a mask and an outline, made by code and the same everywhere."""

from functools import cache
from typing import Any

from pytest_diffopt.pipelines.scale import Scale

_TINY_PIXELS = 64
_SKETCH_PIXELS = 512
_TINY_STAGE_PIXELS = 32
_STAGE_PIXELS = 64


def sketch(scale: Scale) -> Any:
    """Return the image that image-to-image starts from: mountains before a lake, or one shape of the tiny world."""
    if scale is Scale.TINY:
        return _image(_tiny_scene().image(_TINY_PIXELS))
    return _landscape(_SKETCH_PIXELS).copy()


def mask(scale: Scale) -> Any:
    """Return what is to be painted anew, white on black: a disc around the middle; all of the tiny world's shape."""
    from PIL import Image, ImageDraw  # noqa: PLC0415 - slow to import

    pixels = _TINY_PIXELS if scale is Scale.TINY else _SKETCH_PIXELS
    image = Image.new("L", (pixels, pixels))
    ImageDraw.Draw(image).ellipse([pixels * 0.15] * 2 + [pixels * 0.85] * 2, fill=255)
    return image


def outline(scale: Scale) -> Any:
    """Return the edges of the sketch, white on black, as a ControlNet for edges wants them."""
    if scale is Scale.TINY:
        return _image(_tiny_scene().edges(_TINY_PIXELS))
    from PIL import ImageFilter  # noqa: PLC0415 - slow to import

    edges = _landscape(_SKETCH_PIXELS).convert("L").filter(ImageFilter.FIND_EDGES)
    # The filter takes the image's own border for an edge.
    edges.paste(0, (0, 0, _SKETCH_PIXELS, 2))
    edges.paste(0, (0, 0, 2, _SKETCH_PIXELS))
    edges.paste(0, (0, _SKETCH_PIXELS - 2, _SKETCH_PIXELS, _SKETCH_PIXELS))
    edges.paste(0, (_SKETCH_PIXELS - 2, 0, _SKETCH_PIXELS, _SKETCH_PIXELS))
    return edges.point(lambda value: 255 * (value > 16)).convert("RGB")  # noqa: PLR2004 - fainter than a painted edge


def small_image(scale: Scale) -> Any:
    """Return the sketch as a first stage would draw it, for those that enlarge it."""
    pixels = _TINY_STAGE_PIXELS if scale is Scale.TINY else _STAGE_PIXELS
    return sketch(scale).resize((pixels, pixels))


@cache
def _landscape(pixels: int) -> Any:
    from PIL import Image, ImageDraw  # noqa: PLC0415 - slow to import

    image = Image.new("RGB", (pixels, pixels), (168, 201, 235))
    canvas = ImageDraw.Draw(image)
    for color, corners in (
        ((132, 134, 158), [(0.0, 0.62), (0.22, 0.28), (0.41, 0.62)]),
        ((108, 112, 140), [(0.25, 0.62), (0.56, 0.16), (0.84, 0.62)]),
        ((240, 244, 250), [(0.5, 0.25), (0.56, 0.16), (0.625, 0.265), (0.56, 0.24)]),
        ((120, 124, 150), [(0.66, 0.62), (0.88, 0.33), (1.1, 0.62)]),
        ((64, 112, 168), [(0.0, 0.62), (1.0, 0.62), (1.0, 0.8), (0.0, 0.8)]),
        ((86, 136, 74), [(0.0, 0.72), (0.45, 0.78), (1.0, 0.7), (1.0, 1.0), (0.0, 1.0)]),
    ):
        canvas.polygon([(x * pixels, y * pixels) for x, y in corners], fill=color)
    canvas.ellipse([pixels * 0.1, pixels * 0.08, pixels * 0.2, pixels * 0.18], fill=(255, 232, 140))
    return image


def _tiny_scene() -> Any:
    from pytest_diffopt.pipelines.scenes import Scene, Shape  # noqa: PLC0415 - imports numpy

    return Scene(shape=Shape.CIRCLE, color="red", background="blue")


def _image(pixels: Any) -> Any:
    from PIL import Image  # noqa: PLC0415 - slow to import

    return Image.fromarray(pixels)
