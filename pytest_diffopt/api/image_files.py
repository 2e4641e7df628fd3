"""Writing of a test's image files."""

from pathlib import PurePosixPath

import numpy as np
import numpy.typing as npt
from PIL import Image

from pytest_diffopt.baselines.key import slug
from pytest_diffopt.errors import DiffoptError
from pytest_diffopt.probes.image_arrays import Pixels
from pytest_diffopt.session.artifacts import Artifacts

_FOLDER = "images"
_WHITE = 255
_ONE_CHANNEL = 1


def save_image(artifacts: Artifacts, pixels: Pixels, name: str) -> str:
    """Write an image as an 8-bit PNG file.

    Args:
        artifacts: where the image files of the test go.
        pixels: float, shape (height, width, channels); values outside [0, 1] are clipped.
        name: the name among the images of the test, without a suffix.

    Returns:
        The file's name, relative to the folder of the artifacts.

    Raises:
        DiffoptError: the file cannot be written.
    """
    file, levels = path_for(artifacts, f"{name}.png"), levels_of(pixels)
    try:
        Image.fromarray(levels[..., 0] if levels.shape[-1] == _ONE_CHANNEL else levels).save(artifacts.folder / file)
    except OSError as error:
        msg = f"the image {artifacts.folder / file} cannot be kept: {error.strerror}"
        raise DiffoptError(msg) from error
    return str(file)


def path_for(artifacts: Artifacts, name: str) -> PurePosixPath:
    """Return the path of a file of a test, relative to the folder of the artifacts, and make its folder.

    Raises:
        DiffoptError: the folder cannot be made.
    """
    file = PurePosixPath(_FOLDER, slug(artifacts.nodeid), name)
    path = artifacts.folder / file
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        msg = f"the image {path} cannot be kept: {error.strerror}"
        raise DiffoptError(msg) from error
    return file


def levels_of(pixels: Pixels) -> npt.NDArray[np.uint8]:
    """Return pixels as 8-bit levels: values outside of [0, 1] are clipped, and NaN becomes 0."""
    finite = np.clip(np.nan_to_num(pixels, nan=0.0, posinf=1.0, neginf=0.0), 0.0, 1.0)
    return (finite * _WHITE).round().astype(np.uint8)
