"""Images embedded in the page: in full size up to one budget, scaled down up to a second, then only named."""

import base64
import io
import struct
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image, UnidentifiedImageError

#: Budget of images in full size; as base64 they take a third more.
WHOLE_BYTES = 9_000_000
#: Additional budget of images that are scaled down.
SMALL_BYTES = 3_000_000
#: Budget of pixels to scale down; takes about two seconds on one core.
SHRUNK_PIXELS = 120_000_000
#: Limits of a valid image: probes write no larger ones.
MOST_BYTES = 64 * 2**20
MOST_PIXELS = 4096 * 4096

_SMALL_SIDE = 160
_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_HEADER = struct.Struct(">8s4x4sII")


@dataclass(frozen=True, kw_only=True, slots=True)
class EmbeddedImage:
    """An image of the page.

    Attributes:
        file: path relative to the report's folder; empty if the file is invalid.
        source: data URL of the image; empty if it is not shown.
        width: width of the file's image, in pixels.
        height: height of the file's image, in pixels.
        note: why the image is not shown, or not in full size; else empty.
    """

    file: str
    source: str = ""
    width: int = 0
    height: int = 0
    note: str = ""


class InvalidImageError(Exception):
    """A file cannot be an image that a probe wrote."""


@dataclass(kw_only=True)
class EmbeddedImages:
    """The images of one page; budgets are spent in the order of the calls, so the most important cases come first.

    Attributes:
        folder: the folder of the report.
        whole_bytes: remaining budget of images in full size.
        small_bytes: remaining budget of images that are scaled down.
        shrunk_pixels: remaining budget of pixels to scale down.
        num_small: number of images that are scaled down.
        num_omitted: number of images that are not shown.
    """

    folder: Path
    whole_bytes: int = WHOLE_BYTES
    small_bytes: int = SMALL_BYTES
    shrunk_pixels: int = SHRUNK_PIXELS
    num_small: int = 0
    num_omitted: int = 0
    _embedded: dict[str, EmbeddedImage] = field(default_factory=dict)

    def embed(self, file: str) -> EmbeddedImage:
        """Return an image of the report's folder; if it cannot be shown, the note has the reason."""
        if file not in self._embedded:
            try:
                self._embedded[file] = self._embed(file)
            except (OSError, ValueError, SyntaxError, InvalidImageError, UnidentifiedImageError) as error:
                self.num_omitted += 1
                reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
                self._embedded[file] = EmbeddedImage(file="", note=f"{file} cannot be shown: {reason}")
        return self._embedded[file]

    def _embed(self, file: str) -> EmbeddedImage:
        path = path_of(self.folder, file)
        num_bytes = path.stat().st_size
        width, height = _size(path)
        if num_bytes <= self.whole_bytes:
            self.whole_bytes -= num_bytes
            return EmbeddedImage(file=file, source=_data_url(path.read_bytes(), "png"), width=width, height=height)
        if self.small_bytes > 0 and self.shrunk_pixels >= width * height:
            self.shrunk_pixels -= width * height
            small = _shrunk(path)
            self.small_bytes -= len(small)
            self.num_small += 1
            source = _data_url(small, "jpeg")
            return EmbeddedImage(file=file, source=source, width=width, height=height, note="scaled down")
        self.num_omitted += 1
        return EmbeddedImage(file=file, width=width, height=height, note="omitted to limit the size of this page")


def path_of(folder: Path, file: str) -> Path:
    """Return the path of an image in a report's folder; the name is untrusted, since it comes from `report.json`.

    Raises:
        InvalidImageError: the file is outside of the folder, or larger than any image that a probe writes.
        OSError: the file does not exist.
        ValueError: the name is not a valid file name.
    """
    path = (folder / file).resolve()
    if not path.is_relative_to(folder.resolve()):
        message = "it is outside of the report's folder"
        raise InvalidImageError(message)
    if path.stat().st_size > MOST_BYTES:
        message = f"it is larger than {MOST_BYTES // 2**20} MiB"
        raise InvalidImageError(message)
    return path


def _size(path: Path) -> tuple[int, int]:
    """Read width and height from the header of a PNG."""
    with path.open("rb") as file:
        header = file.read(_HEADER.size)
    signature, chunk, width, height = _HEADER.unpack(header.ljust(_HEADER.size, b"\0"))
    if signature != _SIGNATURE or chunk != b"IHDR":
        message = "it is not a PNG"
        raise InvalidImageError(message)
    if not 0 < width * height <= MOST_PIXELS:
        message = f"it has {width} x {height} pixels"
        raise InvalidImageError(message)
    return width, height


def _shrunk(path: Path) -> bytes:
    with Image.open(path, formats=["PNG"]) as image:
        small = image.convert("RGB")
    small.thumbnail((_SMALL_SIDE, _SMALL_SIDE), Image.Resampling.BOX, reducing_gap=1.0)
    written = io.BytesIO()
    small.save(written, "JPEG", quality=80)
    return written.getvalue()


def _data_url(raw: bytes, kind: str) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(raw).decode('ascii')}"
