"""Files of videos: a filmstrip that fits a page, and an animation."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pytest_diffopt.api.kept_videos import keep_video
from pytest_diffopt.errors import DiffoptError
from pytest_diffopt.session.artifacts import Artifacts


def test_a_filmstrip_has_a_row_each_for_video_reference_and_difference(tmp_path: Path) -> None:
    """With one column per frame; gray and transparent frames are shown in color."""
    video = np.random.default_rng(0).random((5, 16, 24, 4))
    files = keep_video(Artifacts(nodeid="test_a", report_folder=tmp_path), "0-video-0", video, video[..., :])

    with Image.open(tmp_path / files.filmstrip) as strip, Image.open(tmp_path / files.animation) as animation:
        assert (strip.size, files.columns) == ((5 * 24, 3 * 16), 5)
        assert (getattr(animation, "n_frames", 1), animation.size) == (5, (48, 16))
        assert np.asarray(strip)[32:].max() < 10


def test_a_long_video_in_full_size_is_scaled_down(tmp_path: Path) -> None:
    """The page shows no image of more pixels."""
    video = np.zeros((81, 96, 160, 1))
    artifacts = Artifacts(nodeid="test_a", report_folder=tmp_path)
    large = np.repeat(np.repeat(video[:2], 8, axis=1), 8, axis=2)
    small, wide = (keep_video(artifacts, name, one, one) for name, one in (("small", video), ("large", large)))

    with Image.open(tmp_path / small.filmstrip) as strip:
        assert strip.width * strip.height <= 12_000_000
    with Image.open(tmp_path / wide.filmstrip) as strip:
        assert strip.size == (2 * 320, 3 * 192)


def test_a_video_with_fewer_frames_has_black_columns_and_no_difference(tmp_path: Path) -> None:
    """Its frames cannot be compared column by column."""
    files = keep_video(
        Artifacts(nodeid="test_a", report_folder=tmp_path), "0", np.full((2, 16, 16, 3), 0.5), np.ones((3, 16, 16, 3))
    )

    with Image.open(tmp_path / files.filmstrip) as strip:
        pixels = np.asarray(strip)
    assert pixels.shape == (48, 48, 3)
    assert pixels[:16, 32:].max() == pixels[32:].max() == 0
    assert pixels[16:32].min() == 255


def test_a_folder_that_cannot_be_created_is_an_error(tmp_path: Path) -> None:
    """The message contains the file and the reason."""
    (tmp_path / "images").write_text("")
    frame = np.zeros((1, 16, 16, 3))
    with pytest.raises(DiffoptError, match=r"the image .*0-filmstrip.png cannot be kept: "):
        keep_video(Artifacts(nodeid="a", report_folder=tmp_path), "0", frame, frame)
