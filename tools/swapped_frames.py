"""Draw the report's filmstrip of a video with two swapped frames, for the docs: `python -m tools.swapped_frames`."""

import argparse
import shutil
import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pytest_diffopt.api.kept_videos import keep_video
from pytest_diffopt.pipelines.scenes import Scene, Shape, Size
from pytest_diffopt.session.artifacts import Artifacts

_FRAMES = 9
_WIDTH = 64
_STEP = 5
_SWAPPED = [0, 1, 2, 4, 3, 5, 6, 7, 8]


def main() -> None:
    """Draw the filmstrip."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=Path("docs/filmstrip.png"))
    save_swapped_frames(parser.parse_args().output)


def save_swapped_frames(path: Path) -> None:
    """Save the filmstrip of a circle that moves to the right, as the report shows it: frames 3 and 4 are swapped.

    Args:
        path: the image to write.
    """
    reference = _moving_circle()
    with tempfile.TemporaryDirectory() as folder:
        files = keep_video(Artifacts(report_folder=Path(folder)), "video", reference[_SWAPPED], reference)
        shutil.copy(Path(folder) / files.filmstrip, path)


def _moving_circle() -> NDArray[np.float64]:
    """Return frames in [0, 1]; the background is plain, so that rolling the pixels moves the circle."""
    still = Scene(shape=Shape.CIRCLE, color="red", background="blue", size=Size.SMALL).image(_WIDTH) / 255
    return np.stack([np.roll(still, _STEP * (number - _FRAMES // 2), axis=1) for number in range(_FRAMES)])


if __name__ == "__main__":
    main()
