"""Draw the images of every trained tiny pipeline for the same prompts on one sheet: `python -m tools.contact_sheet`."""

import argparse
from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
from numpy.typing import NDArray

from pytest_diffopt.pipelines.registry import find_pipeline, known_pipelines
from pytest_diffopt.pipelines.scale import Scale
from pytest_diffopt.pipelines.scenes import Scene
from tools.tiny_training.drawing import STEPS, draw, scenes_to_draw

_INCHES = 1.1
_PAIRS = [
    ("red", "blue"),
    ("yellow", "purple"),
    ("white", "green"),
    ("black", "orange"),
    ("blue", "yellow"),
    ("green", "white"),
    ("purple", "black"),
    ("orange", "red"),
]


def main() -> None:
    """Draw the sheet."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=Path("docs/tiny-pipelines.png"))
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("pipelines", nargs="*", default=trained_pipelines(), metavar="PIPELINE")
    arguments = parser.parse_args()
    scenes = scenes_to_draw(_PAIRS)
    rows = {name: draw(name, scenes, steps=arguments.steps) for name in arguments.pipelines}
    _save_sheet(rows, scenes, arguments.output)


def trained_pipelines() -> list[str]:
    """Return the names of the pipelines that draw images with trained weights; others draw noise, or videos."""
    families = map(find_pipeline, known_pipelines())
    return [one.name for one in families if one.ships_weights and "num_frames" not in one.inputs(Scale.TINY)]


def _save_sheet(rows: dict[str, list[NDArray[np.uint8]]], scenes: list[Scene], path: Path) -> None:
    mpl.use("agg")
    size = (_INCHES * (len(scenes) + 1.3), _INCHES * (len(rows) + 0.6))
    figure, axes = plt.subplots(len(rows), len(scenes), figsize=size, squeeze=False, layout="constrained")
    for row, (name, images) in zip(axes, rows.items(), strict=True):
        row[0].set_ylabel(name, rotation=0, ha="right", va="center")
        for place, image in zip(row, images, strict=True):
            place.imshow(image)
            place.set(xticks=[], yticks=[])
    for place, scene in zip(axes[0], scenes, strict=True):
        place.set_title(f"{scene.color} {scene.shape}\non {scene.background}", fontsize=8)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=100)


if __name__ == "__main__":
    main()
