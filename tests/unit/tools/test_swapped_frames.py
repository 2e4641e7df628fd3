"""The filmstrip in the docs is what the report shows of two swapped frames."""

from pathlib import Path

import numpy as np
from PIL import Image

from tools.swapped_frames import save_swapped_frames


def test_only_the_swapped_frames_differ(tmp_path: Path) -> None:
    """The rows are the video, the reference and their difference; the circle moves to the right in the reference."""
    save_swapped_frames(tmp_path / "strip.png")
    strip = np.asarray(Image.open(tmp_path / "strip.png").convert("RGB")).astype(int)
    ours, theirs, difference = (np.split(row, 9, axis=1) for row in np.split(strip, 3))
    places = [np.flatnonzero((frame[..., 0] > 150).any(0)).mean() for frame in theirs]

    assert [np.array_equal(*pair) for pair in zip(ours, theirs, strict=True)] == [
        number not in {3, 4} for number in range(9)
    ]
    assert [bool(frame.max() > 40) for frame in difference] == [number in {3, 4} for number in range(9)]
    assert np.array_equal(ours[3], theirs[4])
    assert np.all(np.diff(places) > 0)
