"""Image files of a verdict: kept when a check fails, and for every check when a report shows them."""

from dataclasses import replace
from pathlib import PurePosixPath

import numpy as np
from PIL import Image

from pytest_diffopt.api.conclusion import conclude
from pytest_diffopt.baselines.key import slug
from pytest_diffopt.errors import DiffoptError
from pytest_diffopt.guards.verdict import Outcome, Verdict
from pytest_diffopt.probes.flip import flip_heat_map
from pytest_diffopt.probes.image_arrays import Pixels
from pytest_diffopt.probes.image_results import ImageResult
from pytest_diffopt.records import Concern, ImageFiles, ImageRecord
from pytest_diffopt.session.active_test import active_test
from pytest_diffopt.session.artifacts import Artifacts

_FOLDER = "images"
_WHITE = 255
_ONE_CHANNEL = 1


def conclude_images(record: ImageRecord, verdict: Verdict, ours: ImageResult, theirs: ImageResult) -> None:
    """Keep the images of a check that did not pass, or of every check when a report shows them; then conclude."""
    __tracebackhide__ = True
    is_reported = verdict.outcome is not Outcome.PASSED
    if record.differences and (is_reported or active_test().artifacts.keeps_everything):
        try:
            record = _with_files(record, ours.images, theirs.images)
            line = f"images: {_folder_of(record.differences[0].files)}"
        except DiffoptError as error:  # a file that cannot be written must not hide the verdict
            line = str(error)
        if is_reported:
            verdict = replace(verdict, explanation=(*verdict.explanation, line))
    conclude(record, verdict)


def _with_files(record: ImageRecord, ours: Pixels | None, theirs: Pixels | None) -> ImageRecord:
    assert ours is not None and theirs is not None, "unreachable because the record is of images"  # noqa: S101, PT018
    check = sum(verdict.concern is Concern.IMAGES for verdict in active_test().concluded)
    pairs = enumerate(zip(ours, theirs, strict=True))
    files = [_kept(f"{check}-{number}", *pair) for number, pair in pairs]
    differences = [replace(one, files=its) for one, its in zip(record.differences, files, strict=True)]
    return replace(record, differences=tuple(differences))


def _kept(name: str, image: Pixels, reference: Pixels) -> ImageFiles:
    artifacts = active_test().artifacts
    return ImageFiles(
        image=save_image(artifacts, image, f"{name}-image"),
        reference=save_image(artifacts, reference, f"{name}-reference"),
        heat_map=save_image(artifacts, flip_heat_map(image, reference), f"{name}-heat-map"),
    )


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
    file = PurePosixPath(_FOLDER, slug(artifacts.nodeid), f"{name}.png")
    path = artifacts.folder / file
    finite = np.clip(np.nan_to_num(pixels, nan=0.0, posinf=1.0, neginf=0.0), 0.0, 1.0)
    levels = (finite * _WHITE).round().astype(np.uint8)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(levels[..., 0] if levels.shape[-1] == _ONE_CHANNEL else levels).save(path)
    except OSError as error:
        msg = f"the image {path} cannot be kept: {error.strerror}"
        raise DiffoptError(msg) from error
    return str(file)


def _folder_of(files: ImageFiles | None) -> str:
    assert files is not None, "unreachable because the files were just kept"  # noqa: S101
    return active_test().artifacts.path_of(files.image.rpartition("/")[0])
