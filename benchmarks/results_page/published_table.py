"""The tables of diffusers' page "PyTorch 2.0": five GPUs, three batch sizes, six pipelines, compiled or not.

Each cell is given for two versions of torch. `diffusers_table.csv` has the cells as printed on the page.
"""

import csv
import enum
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.results_page.reading import FiguresError

TITLE = "diffusers, PyTorch 2.0"
LINK = (
    "https://github.com/huggingface/diffusers/blob/d6e432c38a30ae2760731adc2f3c265a81d794bb/"
    "docs/source/en/optimization/torch2.0.md#benchmark"
)
_FILE = Path(__file__).with_name("diffusers_table.csv")
_FIGURE = re.compile(r"\d+(\.\d+)?")
# tqdm's format for steps that take longer than a second.
_SECONDS_PER_STEP = re.compile(r"(\d+\.\d+)s")
_MISPRINTS = {"12,.79": "12.79"}


class Torch(enum.StrEnum):
    """The two torch versions of the page."""

    STABLE = "torch 2.0"
    NIGHTLY = "torch nightly"


class NoFigure(enum.StrEnum):
    """Why a cell has no figure, as printed on the page."""

    OUT_OF_MEMORY = "OOM"
    AFTER_WARMUP = "OOM after warmup"
    AFTER_SECOND = "OOM after 2nd iteration"
    FAILED = "❌"
    NOT_GIVEN = "-"


_WHY_NONE = {one.value: one for one in NoFigure}
#: The GPUs, in the order of the page.
GPUS = ("A100", "V100", "T4", "RTX 3090", "RTX 4090")
# A cell of a chain has a figure for each stage.
_PIPELINES: dict[str, tuple[str, ...]] = {
    "SD - txt2img": ("sd15",),
    "SD - img2img": ("sd15-img2img",),
    "SD - inpaint": ("sd15-inpaint",),
    "SD - controlnet": ("sd15-controlnet",),
    "IF": ("deepfloyd-if-1", "deepfloyd-if-2", "deepfloyd-if-3"),
    "SDXL - txt2img": ("sdxl",),
}
_BATCHES = ("1", "4", "16")
_COLUMNS = {
    f"{torch}{' compiled' if is_compiled else ''}": (torch, is_compiled)
    for is_compiled in (False, True)
    for torch in Torch
}
_HEADING = ["card", "batch", "pipeline", *_COLUMNS]


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """The position of a figure.

    Attributes:
        gpu: name of the GPU on the page.
        batch: images of one call.
        pipeline: our name of the pipeline; each stage of a chain is one.
        torch: torch version.
        is_compiled: whether the pipeline is compiled.
    """

    gpu: str
    batch: int
    pipeline: str
    torch: Torch
    is_compiled: bool


#: Denoise steps per second, or the reason why there are none.
Cell = float | NoFigure


def published_table(file: Path = _FILE) -> dict[Place, Cell]:
    """Read every figure.

    Raises:
        FiguresError: the file is invalid; the message has the line, the rule and the value.
    """
    with file.open(encoding="utf-8", newline="") as stream:
        heading, *rows = csv.reader(stream)
    if heading != _HEADING:
        msg = f"{file}: the first line must be {','.join(_HEADING)}, got: {','.join(heading)}"
        raise FiguresError(msg)
    table: dict[Place, Cell] = {}
    for number, row in enumerate(rows, start=2):
        try:
            _add(table, row)
        except ValueError as error:
            msg = f"{file}, line {number}: {error}"
            raise FiguresError(msg) from error
    return table


def _add(table: dict[Place, Cell], row: Sequence[str]) -> None:
    if len(row) != len(_HEADING):
        msg = f"must have {len(_HEADING)} cells, got: {len(row)}"
        raise ValueError(msg)
    gpu, batch, name, *cells = row
    pipelines = _PIPELINES[_known("pipeline", name.removesuffix(" *"), _PIPELINES)]
    for (torch, is_compiled), text in zip(_COLUMNS.values(), cells, strict=True):
        for pipeline, cell in _by_stage(text, pipelines, batch):
            place = Place(
                gpu=_known("GPU", gpu, GPUS),
                batch=int(_known("batch", batch, _BATCHES)),
                pipeline=pipeline,
                torch=torch,
                is_compiled=is_compiled,
            )
            if place in table:
                msg = f"duplicate row: {name} on {gpu} with batch {batch}"
                raise ValueError(msg)
            table[place] = cell


def _known(what: str, name: str, known: Mapping[str, object] | Sequence[str]) -> str:
    if name not in known:
        msg = f"the {what} must be one of {', '.join(known)}, got: {name}"
        raise ValueError(msg)
    return name


def _by_stage(text: str, pipelines: Sequence[str], batch: str) -> Iterator[tuple[str, Cell]]:
    """Yield the cell of each stage; only the first stage generates more than one image."""
    stages = pipelines if batch == "1" else pipelines[:1]
    if text in _WHY_NONE:
        yield from ((stage, _WHY_NONE[text]) for stage in stages)
        return
    figures = text.split(" / ")
    if len(figures) != len(stages):
        msg = f"a cell must have {len(stages)} figures, got: {text}"
        raise ValueError(msg)
    yield from zip(stages, map(_steps_per_second, figures), strict=True)


def _steps_per_second(text: str) -> float:
    text = _MISPRINTS.get(text, text)
    if slow := _SECONDS_PER_STEP.fullmatch(text):
        return 1 / float(slow[1])
    if not _FIGURE.fullmatch(text) or not float(text):
        msg = f"a cell must be steps per second, seconds per step, or one of {', '.join(NoFigure)}, got: {text}"
        raise ValueError(msg)
    return float(text)
