"""Input images of pipelines: a sketch, a mask and an outline, drawn by code and identical on every machine."""

from functools import cache
from typing import Any

from PIL import Image, ImageDraw, ImageFilter

from pytest_diffopt.pipelines.scale import Scale
from pytest_diffopt.pipelines.scenes import Scene, Shape

_TINY_PIXELS = 64
_SKETCH_PIXELS = 512
_TINY_STAGE_PIXELS = 32
_STAGE_PIXELS = 64
_TINY_SCENE = Scene(shape=Shape.CIRCLE, color="red", background="blue")


def sketch(scale: Scale) -> Any:
    """Return the input of image-to-image: a landscape at full scale, a scene with one shape at tiny scale."""
    if scale is Scale.TINY:
        return Image.fromarray(_TINY_SCENE.image(_TINY_PIXELS))
    return _landscape(_SKETCH_PIXELS).copy()


def mask(scale: Scale) -> Any:
    """Return the mask of inpainting, white on black: a disc around the middle, which covers the tiny scene's shape."""
    pixels = _TINY_PIXELS if scale is Scale.TINY else _SKETCH_PIXELS
    image = Image.new("L", (pixels, pixels))
    ImageDraw.Draw(image).ellipse([pixels * 0.15] * 2 + [pixels * 0.85] * 2, fill=255)
    return image


def outline(scale: Scale) -> Any:
    """Return the edges of the sketch, white on black, as a ControlNet for edges expects them."""
    if scale is Scale.TINY:
        return Image.fromarray(_TINY_SCENE.edges(_TINY_PIXELS))
    edges = _landscape(_SKETCH_PIXELS).convert("L").filter(ImageFilter.FIND_EDGES)
    # The filter marks the border of the image as an edge.
    edges.paste(0, (0, 0, _SKETCH_PIXELS, 2))
    edges.paste(0, (0, 0, 2, _SKETCH_PIXELS))
    edges.paste(0, (0, _SKETCH_PIXELS - 2, _SKETCH_PIXELS, _SKETCH_PIXELS))
    edges.paste(0, (_SKETCH_PIXELS - 2, 0, _SKETCH_PIXELS, _SKETCH_PIXELS))
    return edges.point(lambda value: 255 * (value > 16)).convert("RGB")  # noqa: PLR2004 - fainter than a drawn edge


def small_image(scale: Scale) -> Any:
    """Return the sketch at the size of a first stage's image, for the stages that upscale it."""
    pixels = _TINY_STAGE_PIXELS if scale is Scale.TINY else _STAGE_PIXELS
    return sketch(scale).resize((pixels, pixels))


@cache
def _landscape(pixels: int) -> Any:
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
