"""Images kept for people to look at: beside the report where one is asked for, else in pytest's cache."""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from pytest_diffopt.errors import DiffoptError

if TYPE_CHECKING:  # pytest loads this module with every diffopt test, whether it generates images or not
    import numpy as np
    import numpy.typing as npt

_FOLDER = "images"
_WHITE = 255
_ONE_CHANNEL = 1


@cache
def _temporary_folder() -> Path:
    return Path(tempfile.mkdtemp(prefix="pytest-diffopt-"))


@dataclass(frozen=True, kw_only=True, slots=True)
class Artifacts:
    """Where the images of one test go.

    Every process writes below the same folder: names are made from the test's, which no two workers run at once.

    Attributes:
        nodeid: the test.
        report_folder: where the report goes; None where none is asked for.
        other_folder: makes the folder in which images are kept where no report is asked for.
    """

    nodeid: str = ""
    report_folder: Path | None = None
    other_folder: Callable[[], Path] = _temporary_folder

    @property
    def keeps_everything(self) -> bool:
        """Whether images are kept of checks that pass, too: a report shows them all."""
        return self.report_folder is not None

    @property
    def folder(self) -> Path:
        """The folder from which files are named."""
        return self.report_folder or self.other_folder()

    def path_of(self, name: str) -> str:
        """Return where a file of `name` lies."""
        return str(self.folder / name)

    def save_image(self, pixels: "npt.NDArray[np.float64]", name: str) -> str:
        """Write an image as PNG of eight bits.

        Args:
            pixels: float, shape (height, width, channels); values outside of [0, 1] are clipped.
            name: what it is called among the images of its test, without ending.

        Returns:
            Its name from the folder.

        Raises:
            DiffoptError: the file cannot be written.
        """
        import numpy as np  # noqa: PLC0415 - a test that keeps nothing is spared it
        from PIL import Image  # noqa: PLC0415 - as above

        from pytest_diffopt.baselines.key import slug  # noqa: PLC0415 - imports msgspec

        file = PurePosixPath(_FOLDER, slug(self.nodeid), f"{name}.png")
        path = self.folder / file
        finite = np.clip(np.nan_to_num(pixels, nan=0.0, posinf=1.0, neginf=0.0), 0.0, 1.0)
        levels = (finite * _WHITE).round().astype(np.uint8)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(levels[..., 0] if levels.shape[-1] == _ONE_CHANNEL else levels).save(path)
        except OSError as error:
            msg = f"the image {path} cannot be kept: {error.strerror}"
            raise DiffoptError(msg) from error
        return str(file)
