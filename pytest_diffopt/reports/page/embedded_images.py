"""Images inside the page: whole ones as long as the page stays small, then smaller ones, then links alone."""

import base64
import io
import struct
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image, UnidentifiedImageError

#: What whole images may take of the page; in the page's text they are a third longer.
WHOLE_BYTES = 9_000_000
#: What smaller ones may take besides.
SMALL_BYTES = 3_000_000
#: Images are made smaller only as long as that takes about two seconds of one core.
SHRUNK_PIXELS = 120_000_000
#: A file that is larger, or an image with more pixels, was not kept by a probe.
MOST_BYTES = 64 * 2**20
MOST_PIXELS = 4096 * 4096

_SMALL_SIDE = 160
_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_HEADER = struct.Struct(">8s4x4sII")


@dataclass(frozen=True, kw_only=True, slots=True)
class EmbeddedImage:
    """An image as the page shows it.

    Attributes:
        file: its name from the folder of the report.
        source: the image itself, as an URL of its own data; empty where it is not shown.
        width: of the image itself, in pixels.
        height: of the image itself, in pixels.
        note: why it is not shown, or not whole; empty where it is.
    """

    file: str
    source: str = ""
    width: int = 0
    height: int = 0
    note: str = ""


class UnfitError(Exception):
    """A file is not what a probe keeps."""


@dataclass(kw_only=True)
class EmbeddedImages:
    """The images of one page, embedded in the order in which they are asked for: the ones that matter first.

    Attributes:
        folder: of the report.
        whole_bytes: what whole images may still take.
        small_bytes: what smaller ones may still take.
        shrunk_pixels: how many pixels may still be made smaller.
        num_small: how many are shown smaller.
        num_left_out: how many are not shown.
    """

    folder: Path
    whole_bytes: int = WHOLE_BYTES
    small_bytes: int = SMALL_BYTES
    shrunk_pixels: int = SHRUNK_PIXELS
    num_small: int = 0
    num_left_out: int = 0
    _embedded: dict[str, EmbeddedImage] = field(default_factory=dict)

    def embed(self, file: str) -> EmbeddedImage:
        """Return an image of the report's folder as the page shows it; what cannot be shown says why."""
        if file not in self._embedded:
            try:
                self._embedded[file] = self._embed(file)
            except (OSError, ValueError, SyntaxError, UnfitError, UnidentifiedImageError) as error:  # Pillow's, too
                self.num_left_out += 1
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
            return EmbeddedImage(file=file, source=source, width=width, height=height, note="shown smaller")
        self.num_left_out += 1
        return EmbeddedImage(file=file, width=width, height=height, note="not in this page, which would be too large")


def path_of(folder: Path, file: str) -> Path:
    """Return where an image of a report's folder is; its name may have come from somebody else's `report.json`.

    Raises:
        UnfitError: it lies elsewhere, or is too large for an image that a probe kept.
        OSError: it is not there.
        ValueError: no file can have this name.
    """
    path = (folder / file).resolve()
    if not path.is_relative_to(folder.resolve()):
        message = "it lies outside of the report's folder"
        raise UnfitError(message)
    if path.stat().st_size > MOST_BYTES:
        message = f"it is larger than {MOST_BYTES // 2**20} MiB"
        raise UnfitError(message)
    return path


def _size(path: Path) -> tuple[int, int]:
    """Read width and height out of a PNG's header."""
    with path.open("rb") as file:
        header = file.read(_HEADER.size)
    signature, chunk, width, height = _HEADER.unpack(header.ljust(_HEADER.size, b"\0"))
    if signature != _SIGNATURE or chunk != b"IHDR":
        message = "it is no PNG"
        raise UnfitError(message)
    if not 0 < width * height <= MOST_PIXELS:
        message = f"it has {width} x {height} pixels"
        raise UnfitError(message)
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
