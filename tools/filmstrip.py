"""Draw frames of the tiny video pipelines, one row for each, as a filmstrip: `python -m tools.filmstrip`."""

import argparse
from collections.abc import Mapping
from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
from numpy.typing import NDArray

from pytest_diffopt.pipelines.loading import build_pipeline
from pytest_diffopt.pipelines.registry import find_pipeline, known_pipelines
from pytest_diffopt.pipelines.scale import Scale

_INCHES = 1.1


def main() -> None:
    """Draw the filmstrip."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=Path("docs/tiny-videos.png"))
    parser.add_argument("--prompt", help="by default that of each pipeline's plain call")
    parser.add_argument("pipelines", nargs="*", default=video_pipelines(), metavar="PIPELINE")
    arguments = parser.parse_args()
    save_filmstrip({name: frames_of(name, arguments.prompt) for name in arguments.pipelines}, arguments.output)


def video_pipelines() -> list[str]:
    """Return the names of the pipelines that draw videos at tiny scale."""
    return [name for name in known_pipelines() if "num_frames" in find_pipeline(name).inputs(Scale.TINY)]


def frames_of(name: str, prompt: str | None = None) -> NDArray[np.float32]:
    """Draw a video with a tiny pipeline.

    Args:
        name: the pipeline's name.
        prompt: the prompt; None for that of the plain call.

    Returns:
        The frames, float, (frames, height, width, 3).
    """
    family = find_pipeline(name)
    plain = family.inputs(Scale.TINY)
    pipeline = build_pipeline(family, Scale.TINY).pipeline
    pipeline.set_progress_bar_config(disable=True)
    frames: NDArray[np.float32] = pipeline(**(plain if prompt is None else plain.varied("", prompt=prompt))).frames[0]
    return frames


def save_filmstrip(rows: Mapping[str, NDArray[np.float32]], path: Path) -> None:
    """Save the frames of each pipeline in a row; a shorter video leaves the end of its row empty.

    Args:
        rows: the frames of each pipeline, by its name.
        path: the image to write.
    """
    mpl.use("agg")
    length = max(map(len, rows.values()))
    size = (_INCHES * (length + 1.8), _INCHES * (len(rows) + 0.4))
    figure, axes = plt.subplots(len(rows), length, figsize=size, squeeze=False, layout="constrained")
    for row, (name, frames) in zip(axes, rows.items(), strict=True):
        row[0].set_ylabel(name, rotation=0, ha="right", va="center")
        for place in row:
            place.set(xticks=[], yticks=[], frame_on=False)
        for place, frame in zip(row, frames, strict=False):
            place.imshow(frame)
    for number, place in enumerate(axes[0]):
        place.set_title(f"frame {number}", fontsize=8)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=80)


if __name__ == "__main__":
    main()
