"""Images are whole while there is room, then small, then named; what is no image of ours is never read into it."""

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
    """Write noise, which no compression makes small."""
    pixels = np.random.default_rng(0).integers(0, 255, (side, side, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(folder / name)
    return (folder / name).read_bytes()


def shown(image: EmbeddedImage) -> Image.Image:
    """Decode what the page shows."""
    raw = base64.b64decode(image.source.partition("base64,")[2], validate=True)
    return Image.open(io.BytesIO(raw))


def test_a_image_is_embedded_to_the_byte(tmp_path: Path) -> None:
    """And its size is told, which keeps the page from jumping."""
    raw = draw(tmp_path, "a.png")
    image = EmbeddedImages(folder=tmp_path).embed("a.png")

    assert image.source == "data:image/png;base64," + base64.b64encode(raw).decode()
    assert (image.width, image.height, image.note) == (200, 200, "")


def test_past_the_first_budget_it_is_shown_smaller(tmp_path: Path) -> None:
    """The first one whole, the second one small, and the page can say how many."""
    size = len(draw(tmp_path, "a.png"))
    draw(tmp_path, "b.png")
    book = EmbeddedImages(folder=tmp_path, whole_bytes=size + 1)
    first, second = book.embed("a.png"), book.embed("b.png")

    assert shown(first).size == (200, 200)
    assert shown(second).size == (160, 160)
    assert len(second.source) < size / 4
    assert (second.width, second.note) == (200, "shown smaller")
    assert (book.num_small, book.num_left_out) == (1, 0)


@pytest.mark.parametrize(("small_bytes", "shrunk_pixels"), [(0, 100_000), (100_000, 100)])
def test_past_the_second_budget_it_is_named(tmp_path: Path, small_bytes: int, shrunk_pixels: int) -> None:
    """Whether room or time is used up."""
    draw(tmp_path, "a.png")
    book = EmbeddedImages(folder=tmp_path, whole_bytes=0, small_bytes=small_bytes, shrunk_pixels=shrunk_pixels)

    assert book.embed("a.png") == EmbeddedImage(
        file="a.png", width=200, height=200, note="not in this page, which would be too large"
    )
    assert book.num_left_out == 1


def test_the_same_image_is_counted_once(tmp_path: Path) -> None:
    """Many cases share a reference."""
    draw(tmp_path, "a.png")
    book = EmbeddedImages(folder=tmp_path)
    first = book.embed("a.png")
    room = book.whole_bytes

    assert book.embed("a.png") is first
    assert book.whole_bytes == room


def png(width: int, height: int) -> bytes:
    """Write a PNG's beginning, whole but for its pixels."""
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header))


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"", "it is no PNG"),
        (b"<svg onload=alert(1)>", "it is no PNG"),
        (png(100_000, 100_000), "it has 100000 x 100000 pixels"),
        (png(0, 5), "it has 0 x 5 pixels"),
    ],
)
def test_what_is_no_image_is_reported(tmp_path: Path, raw: bytes, reason: str) -> None:
    """Empty, something else, a bomb, nothing."""
    (tmp_path / "a.png").write_bytes(raw)
    book = EmbeddedImages(folder=tmp_path)

    assert book.embed("a.png") == EmbeddedImage(file="", note=f"a.png cannot be shown: {reason}")
    assert book.num_left_out == 1


def test_a_truncated_image_that_must_be_shrunk_is_reported(tmp_path: Path) -> None:
    """Its beginning is sound, its pixels are not there."""
    (tmp_path / "a.png").write_bytes(draw(tmp_path, "a.png")[:5000])

    assert "cannot be shown" in EmbeddedImages(folder=tmp_path, whole_bytes=0).embed("a.png").note


def test_a_image_with_a_broken_part_that_must_be_shrunk_is_reported(tmp_path: Path) -> None:
    """Pillow calls that an error of syntax."""
    (tmp_path / "a.png").write_bytes(draw(tmp_path, "a.png").replace(b"IDAT", b"\xe1DAT"))

    assert "cannot be shown: " in EmbeddedImages(folder=tmp_path, whole_bytes=0).embed("a.png").note


@pytest.mark.parametrize("name", ["../secret.png", "/etc/passwd", "images/../../secret.png", "link.png"])
def test_nothing_outside_of_the_folder_is_read(tmp_path: Path, name: str) -> None:
    """A `report.json` may come from somebody else."""
    folder = tmp_path / "report"
    folder.mkdir()
    draw(tmp_path, "secret.png")
    (folder / "link.png").symlink_to(tmp_path / "secret.png")
    image = EmbeddedImages(folder=folder).embed(name)

    assert image.source == ""
    assert image.note == f"{name} cannot be shown: it lies outside of the report's folder"


def test_a_missing_file_is_reported(tmp_path: Path) -> None:
    """The folder was copied without its images."""
    assert EmbeddedImages(folder=tmp_path).embed("a.png").note == "a.png cannot be shown: No such file or directory"


def test_a_name_that_no_file_can_have_is_reported(tmp_path: Path) -> None:
    """Such as one with a null byte."""
    assert "cannot be shown" in EmbeddedImages(folder=tmp_path).embed("a\0.png").note


def test_a_huge_file_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A probe keeps none so large."""
    draw(tmp_path, "a.png")
    monkeypatch.setattr(embedded_images, "MOST_BYTES", 1000)

    assert "it is larger than" in EmbeddedImages(folder=tmp_path).embed("a.png").note
