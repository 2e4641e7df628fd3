"""The files beside a baseline are read back exactly, or refused."""

from pathlib import Path

import numpy as np
import pytest

from pytest_diffopt.baselines.image_document import MAX_FILE_BYTES, StoredFile
from pytest_diffopt.baselines.image_files import StoredFiles
from pytest_diffopt.errors import BaselineError
from tests.unit.baselines.baseline_examples import KEY

FOLDER = "nvidia-h200/test_sdxl"


def files(root: Path) -> StoredFiles:
    """Return the files of one baseline."""
    return StoredFiles(str(root), KEY)


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_an_image_is_read_back_bit_for_bit(tmp_path: Path, channels: int) -> None:
    """Gray, RGB and RGBA."""
    levels = np.random.default_rng(0).integers(0, 256, (5, 7, channels), dtype=np.uint8)
    file = files(tmp_path).write_image(2, levels)

    assert np.array_equal(files(tmp_path).read_image(file), levels)
    assert file.name.startswith("test_latency[sdxl-bf16+sdpa].tiny.2-")
    assert (tmp_path / FOLDER / file.name).stat().st_size == file.size_bytes


def test_latents_are_read_back_bit_for_bit(tmp_path: Path) -> None:
    """With their names."""
    latents = {"step_0000": np.random.default_rng(0).standard_normal((1, 4, 2, 2)).astype(np.float32)}
    found = files(tmp_path).read_latents(files(tmp_path).write_latents(latents))

    assert list(found) == ["step_0000"]
    assert np.array_equal(found["step_0000"], latents["step_0000"])


def test_a_file_that_is_not_safetensors_is_refused(tmp_path: Path) -> None:
    """For example a pickle."""
    file = files(tmp_path).write("latents", "safetensors", b"\x80\x04 no safetensors")

    with pytest.raises(BaselineError, match="cannot be trusted: it is not a safetensors file: "):
        files(tmp_path).read_latents(file)


def test_other_content_has_another_name(tmp_path: Path) -> None:
    """So the files of the accepted document are kept until the next document is written."""
    one, other = (files(tmp_path).write("0", "png", raw) for raw in (b"one", b"other"))

    assert one.name != other.name
    assert files(tmp_path).read(one) == b"one"


def test_removing_a_missing_file_does_nothing(tmp_path: Path) -> None:
    """Another worker may have removed it."""
    file = files(tmp_path).write("0", "png", b"one")
    files(tmp_path).remove(file)
    files(tmp_path).remove(file)

    assert list((tmp_path / FOLDER).iterdir()) == []


def test_a_file_that_is_too_large_is_not_written(tmp_path: Path) -> None:
    """The message contains the limit and the size."""
    with pytest.raises(BaselineError, match=f"larger than {MAX_FILE_BYTES} bytes, got: "):
        files(tmp_path).write("0", "png", bytes(MAX_FILE_BYTES + 1))

    assert not (tmp_path / FOLDER).exists()


def test_a_file_that_grew_is_refused(tmp_path: Path) -> None:
    """Its checksum differs; at most one byte more than the accepted size is read."""
    file = files(tmp_path).write("0", "png", b"one")
    (tmp_path / FOLDER / file.name).write_bytes(b"one and more")

    with pytest.raises(BaselineError, match=r"its SHA-256 must be \w{12}\.\.\., got: \w{12}\.\.\."):
        files(tmp_path).read(file)


@pytest.mark.parametrize("name", ["../other.png", "/etc/passwd", "test_latency.0.png", "", "a\\b.png"])
def test_a_name_outside_of_the_folder_is_refused(tmp_path: Path, name: str) -> None:
    """The file is neither read nor removed."""
    file = StoredFile(name=name, sha256="0" * 64, size_bytes=1)
    for follow in (files(tmp_path).read, files(tmp_path).remove):
        with pytest.raises(BaselineError, match=r"its name must begin with '.*' and contain no path, got: "):
            follow(file)
