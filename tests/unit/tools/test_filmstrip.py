"""The filmstrip has a row for each tiny video pipeline and a place for each frame."""

from pathlib import Path

import numpy as np
from PIL import Image

from tools.filmstrip import frames_of, save_filmstrip, video_pipelines


def test_every_video_pipeline_has_a_row() -> None:
    """And no other one."""
    assert video_pipelines() == ["wan-t2v-1.3b", "wan-t2v-a14b", "ltx2", "hunyuan-video-1.5", "cogvideox"]


def test_the_frames_are_those_of_the_prompt() -> None:
    """The plain call draws nine frames of 32 x 32."""
    plain, other = frames_of("wan-t2v-1.3b"), frames_of("wan-t2v-1.3b", "a green square on a white background")

    assert plain.shape == other.shape == (9, 32, 32, 3)
    assert not np.allclose(plain, other)


def test_each_frame_is_in_its_place(tmp_path: Path) -> None:
    """A row of red frames above a shorter row of blue ones."""
    red, blue = np.zeros((3, 8, 8, 3), np.float32), np.zeros((2, 8, 8, 3), np.float32)
    red[..., 0], blue[..., 2] = 1, 1
    save_filmstrip({"first": red, "second": blue}, tmp_path / "strip.png")
    pixels = np.asarray(Image.open(tmp_path / "strip.png").convert("RGB")).astype(int)
    is_red = (pixels == (255, 0, 0)).all(-1)
    is_blue = (pixels == (0, 0, 255)).all(-1)

    assert is_red.sum() > is_blue.sum() > 0
    assert np.flatnonzero(is_red.any(1)).max() < np.flatnonzero(is_blue.any(1)).min()
    assert np.flatnonzero(is_blue.any(0)).max() < np.flatnonzero(is_red.any(0)).max()
