"""Files of compared videos: a filmstrip of all frames, and an animation of the video beside its reference."""

import math
from pathlib import PurePosixPath

import numpy as np
from PIL import Image

from pytest_diffopt.api.image_files import levels_of, path_for, save_image
from pytest_diffopt.errors import DiffoptError
from pytest_diffopt.probes.flip import flip_heat_map
from pytest_diffopt.probes.image_arrays import Pixels
from pytest_diffopt.records import VideoFiles
from pytest_diffopt.session.artifacts import Artifacts

# The report's page shows no image of more pixels, and frames of this width are recognized.
_MOST_PIXELS = 12_000_000
_LARGEST_WIDTH = 320
_ROWS = 3
_FRAME_MS = 100
_COLOR_CHANNELS = 3


def keep_video(artifacts: Artifacts, name: str, video: Pixels, reference: Pixels) -> VideoFiles:
    """Write the files of a video and its reference.

    Args:
        artifacts: where the image files of the test go.
        name: the name among the images of the test.
        video: float in [0, 1], shape (frames, height, width, channels).
        reference: frames of the same size; their number may be another one.

    Raises:
        DiffoptError: a file cannot be written.
    """
    columns = max(len(video), len(reference))
    rows = [np.stack([_small(frame, columns) for frame in one]) for one in (video, reference)]
    maps = [flip_heat_map(*pair) for pair in zip(*rows, strict=True)] if len(video) == len(reference) else []
    strip = np.concatenate([_row(one, columns) for one in (*rows, np.array(maps).reshape(-1, *rows[0].shape[1:]))])
    beside = [np.concatenate(pair, axis=1) for pair in zip(*(_filled(one, columns) for one in rows), strict=True)]
    return VideoFiles(
        filmstrip=save_image(artifacts, strip, f"{name}-filmstrip"),
        animation=_save_animation(artifacts, beside, f"{name}-animation"),
        columns=columns,
    )


def _small(frame: Pixels, columns: int) -> Pixels:
    """Return a frame with three channels, scaled down so that a filmstrip with this many columns can be shown."""
    height, width = frame.shape[:2]
    widest = math.sqrt(_MOST_PIXELS / (_ROWS * columns) * width / height)
    scale = min(1.0, _LARGEST_WIDTH / width, widest / width)
    size = (max(1, int(width * scale)), max(1, int(height * scale)))
    colors = levels_of(frame[..., :_COLOR_CHANNELS] if frame.shape[-1] > _COLOR_CHANNELS else frame)
    image = Image.fromarray(colors[..., 0] if colors.shape[-1] == 1 else colors).convert("RGB")
    return np.asarray(image if image.size == size else image.resize(size, Image.Resampling.BOX)) / 255


def _row(frames: Pixels, columns: int) -> Pixels:
    """Return frames in one row; black where a video has fewer frames than columns."""
    return np.concatenate(list(_filled(frames, columns)), axis=1)


def _filled(frames: Pixels, columns: int) -> Pixels:
    return np.concatenate([frames, np.zeros((columns - len(frames), *frames.shape[1:]))])


def _save_animation(artifacts: Artifacts, frames: list[Pixels], name: str) -> str:
    file = path_for(artifacts, f"{name}.webp")
    first, *others = (Image.fromarray(levels_of(frame)) for frame in frames)
    try:
        first.save(
            artifacts.folder / file, save_all=True, append_images=others, duration=_FRAME_MS, loop=0, lossless=True
        )
    except OSError as error:
        msg = f"the animation {artifacts.folder / file} cannot be kept: {error.strerror or error}"
        raise DiffoptError(msg) from error
    return str(PurePosixPath(file))
