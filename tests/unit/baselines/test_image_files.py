"""The files beside a baseline come back as they were, or not at all."""

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
def test_a_image_comes_back_to_the_bit(tmp_path: Path, channels: int) -> None:
    """Grey, colors, and with transparency."""
    levels = np.random.default_rng(0).integers(0, 256, (5, 7, channels), dtype=np.uint8)
    file = files(tmp_path).write_image(2, levels)

    assert np.array_equal(files(tmp_path).read_image(file), levels)
    assert file.name.startswith("test_latency[sdxl-bf16+sdpa].tiny.2-")
    assert (tmp_path / FOLDER / file.name).stat().st_size == file.size_bytes


def test_latents_come_back_to_the_bit(tmp_path: Path) -> None:
    """By name."""
    latents = {"step_0000": np.random.default_rng(0).standard_normal((1, 4, 2, 2)).astype(np.float32)}
    found = files(tmp_path).read_latents(files(tmp_path).write_latents(latents))

    assert list(found) == ["step_0000"]
    assert np.array_equal(found["step_0000"], latents["step_0000"])


def test_what_is_no_safetensors_is_refused(tmp_path: Path) -> None:
    """A pickle, say."""
    file = files(tmp_path).write("latents", "safetensors", b"\x80\x04 no safetensors")

    with pytest.raises(BaselineError, match="cannot be trusted: it is no safetensors: "):
        files(tmp_path).read_latents(file)


def test_other_content_has_another_name(tmp_path: Path) -> None:
    """What an accepted document names stays as it is until the next one is written whole."""
    one, other = (files(tmp_path).write("0", "png", raw) for raw in (b"one", b"other"))

    assert one.name != other.name
    assert files(tmp_path).read(one) == b"one"


def test_what_is_removed_may_be_gone_already(tmp_path: Path) -> None:
    """By a hand, or another worker."""
    file = files(tmp_path).write("0", "png", b"one")
    files(tmp_path).remove(file)
    files(tmp_path).remove(file)

    assert list((tmp_path / FOLDER).iterdir()) == []


def test_a_file_past_the_limit_is_not_written(tmp_path: Path) -> None:
    """The limit, the size, and what to do."""
    with pytest.raises(BaselineError, match=f"larger than {MAX_FILE_BYTES} bytes, got: "):
        files(tmp_path).write("0", "png", bytes(MAX_FILE_BYTES + 1))

    assert not (tmp_path / FOLDER).exists()


def test_a_file_that_grew_is_refused(tmp_path: Path) -> None:
    """No more of it is read than was accepted."""
    file = files(tmp_path).write("0", "png", b"one")
    (tmp_path / FOLDER / file.name).write_bytes(b"one and more")

    with pytest.raises(BaselineError, match=r"its SHA-256 must be \w{12}\.\.\., got: \w{12}\.\.\."):
        files(tmp_path).read(file)


@pytest.mark.parametrize("name", ["../other.png", "/etc/passwd", "test_latency.0.png", "", "a\\b.png"])
def test_a_name_that_leads_elsewhere_is_never_followed(tmp_path: Path, name: str) -> None:
    """Neither read nor removed."""
    file = StoredFile(name=name, sha256="0" * 64, size_bytes=1)
    for follow in (files(tmp_path).read, files(tmp_path).remove):
        with pytest.raises(BaselineError, match=r"its name must begin with .* and lead nowhere else, got: "):
            follow(file)
