"""Images are embedded in full size, then scaled down, then only named; invalid files are never embedded."""

import base64
import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pytest_diffopt.reports.page import embedded_images
from pytest_diffopt.reports.page.embedded_images import EmbeddedImage, EmbeddedImages


def draw(folder: Path, name: str, side: int = 200) -> bytes:
    """Write an image of noise, which does not compress."""
    pixels = np.random.default_rng(0).integers(0, 255, (side, side, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(folder / name)
    return (folder / name).read_bytes()


def shown(image: EmbeddedImage) -> Image.Image:
    """Decode an embedded image."""
    raw = base64.b64decode(image.source.partition("base64,")[2], validate=True)
    return Image.open(io.BytesIO(raw))


def test_an_image_is_embedded_unchanged(tmp_path: Path) -> None:
    """Its width and height are known, so that the page layout does not shift."""
    raw = draw(tmp_path, "a.png")
    image = EmbeddedImages(folder=tmp_path).embed("a.png")

    assert image.source == "data:image/png;base64," + base64.b64encode(raw).decode()
    assert (image.width, image.height, image.note) == (200, 200, "")


def test_beyond_the_first_budget_an_image_is_scaled_down(tmp_path: Path) -> None:
    """The first image has its full size, the second one is scaled down and counted."""
    size = len(draw(tmp_path, "a.png"))
    draw(tmp_path, "b.png")
    embedded = EmbeddedImages(folder=tmp_path, whole_bytes=size + 1)
    first, second = embedded.embed("a.png"), embedded.embed("b.png")

    assert shown(first).size == (200, 200)
    assert shown(second).size == (160, 160)
    assert len(second.source) < size / 4
    assert (second.width, second.note) == (200, "scaled down")
    assert (embedded.num_small, embedded.num_omitted) == (1, 0)


@pytest.mark.parametrize(("small_bytes", "shrunk_pixels"), [(0, 100_000), (100_000, 100)])
def test_beyond_the_second_budget_an_image_is_omitted(tmp_path: Path, small_bytes: int, shrunk_pixels: int) -> None:
    """If the budget of bytes or of pixels is spent."""
    draw(tmp_path, "a.png")
    embedded = EmbeddedImages(folder=tmp_path, whole_bytes=0, small_bytes=small_bytes, shrunk_pixels=shrunk_pixels)

    assert embedded.embed("a.png") == EmbeddedImage(
        file="a.png", width=200, height=200, note="omitted to limit the size of this page"
    )
    assert embedded.num_omitted == 1


def test_the_same_image_is_counted_once(tmp_path: Path) -> None:
    """Several cases can share a reference."""
    draw(tmp_path, "a.png")
    embedded = EmbeddedImages(folder=tmp_path)
    first = embedded.embed("a.png")
    room = embedded.whole_bytes

    assert embedded.embed("a.png") is first
    assert embedded.whole_bytes == room


def png(width: int, height: int) -> bytes:
    """Return the header of a PNG, without pixels."""
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header))


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"", "it is not a PNG"),
        (b"<svg onload=alert(1)>", "it is not a PNG"),
        (png(100_000, 100_000), "it has 100000 x 100000 pixels"),
        (png(0, 5), "it has 0 x 5 pixels"),
    ],
)
def test_an_invalid_image_is_reported(tmp_path: Path, raw: bytes, reason: str) -> None:
    """An empty file, another format, a decompression bomb, and an image without pixels."""
    (tmp_path / "a.png").write_bytes(raw)
    embedded = EmbeddedImages(folder=tmp_path)

    assert embedded.embed("a.png") == EmbeddedImage(file="", note=f"a.png cannot be shown: {reason}")
    assert embedded.num_omitted == 1


def test_a_truncated_image_that_must_be_shrunk_is_reported(tmp_path: Path) -> None:
    """Its header is valid, its pixels are missing."""
    (tmp_path / "a.png").write_bytes(draw(tmp_path, "a.png")[:5000])

    assert "cannot be shown" in EmbeddedImages(folder=tmp_path, whole_bytes=0).embed("a.png").note


def test_an_image_with_an_invalid_chunk_that_must_be_shrunk_is_reported(tmp_path: Path) -> None:
    """Pillow raises `SyntaxError` for it."""
    (tmp_path / "a.png").write_bytes(draw(tmp_path, "a.png").replace(b"IDAT", b"\xe1DAT"))

    assert "cannot be shown: " in EmbeddedImages(folder=tmp_path, whole_bytes=0).embed("a.png").note


@pytest.mark.parametrize("name", ["../secret.png", "/etc/passwd", "images/../../secret.png", "link.png"])
def test_a_file_outside_of_the_folder_is_not_read(tmp_path: Path, name: str) -> None:
    """A `report.json` can come from an untrusted source."""
    folder = tmp_path / "report"
    folder.mkdir()
    draw(tmp_path, "secret.png")
    (folder / "link.png").symlink_to(tmp_path / "secret.png")
    image = EmbeddedImages(folder=folder).embed(name)

    assert image.source == ""
    assert image.note == f"{name} cannot be shown: it is outside of the report's folder"


def test_a_missing_file_is_reported(tmp_path: Path) -> None:
    """The folder can be copied without its images."""
    assert EmbeddedImages(folder=tmp_path).embed("a.png").note == "a.png cannot be shown: No such file or directory"


def test_an_invalid_file_name_is_reported(tmp_path: Path) -> None:
    """Such as one with a null byte."""
    assert "cannot be shown" in EmbeddedImages(folder=tmp_path).embed("a\0.png").note


def test_a_huge_file_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No probe writes such a large file."""
    draw(tmp_path, "a.png")
    monkeypatch.setattr(embedded_images, "MOST_BYTES", 1000)

    assert "it is larger than" in EmbeddedImages(folder=tmp_path).embed("a.png").note
