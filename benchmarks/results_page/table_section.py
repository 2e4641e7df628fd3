"""The table of diffusers' page: steps per second here and on the A100, and speedups by compilation on each GPU."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from benchmarks.on_gpu.cells import NOT_YET, compile_time, why_none
from benchmarks.on_gpu.command import Figures
from benchmarks.on_gpu.throughput import BATCHES, cell_name, steps_per_second
from benchmarks.results_page.markdown import speed, table, times
from benchmarks.results_page.measured import Measured
from benchmarks.results_page.published_table import GPUS, LINK, TITLE, Cell, NoFigure, Place, Torch

#: The GPU with whose speeds ours are compared: all six pipelines and the article's ladder ran on it.
REFERENCE_GPU = "A100"
_DATA = "https://github.com/pytest-diffopt/pytest-diffopt/blob/main/benchmarks/results_page/diffusers_table.csv"
_FIRST_STAGE = ("deepfloyd-if-1", 1)
_WORDS = {NoFigure.FAILED: "failed", NoFigure.NOT_GIVEN: "not given"}
_THEIR_HEADINGS = ("pipeline", "batch", REFERENCE_GPU, "compiled", "speedup")
_OUR_HEADINGS = ("here", "compiled", "speedup", f"speedup here ÷ {REFERENCE_GPU}", "compile time")


@dataclass(frozen=True, kw_only=True, slots=True)
class Speed:
    """One cell: denoise steps per second, or the reason why there are none."""

    value: float | None
    why_none: str = ""

    def __str__(self) -> str:
        """Return the cell's text."""
        return self.why_none if self.value is None else speed(self.value)


@dataclass(frozen=True, kw_only=True, slots=True)
class Gain:
    """The speeds of one pipeline with one batch size on one GPU, not compiled and compiled."""

    plain: Speed
    compiled: Speed

    @property
    def ratio(self) -> float | None:
        """Speedup by compilation; None if either has no speed."""
        return self.compiled.value / self.plain.value if self.compiled.value and self.plain.value else None

    def __str__(self) -> str:
        """Return the speedup, or the reason why there is none."""
        if self.ratio:
            return times(self.ratio)
        return self.plain.why_none or self.compiled.why_none


def published_gain(
    published: Mapping[Place, Cell], gpu: str, pipeline: str, batch: int, torch: Torch = Torch.NIGHTLY
) -> Gain:
    """Return the published speeds on a GPU; a missing row is not given."""

    def look_up(*, is_compiled: bool) -> Speed:
        place = Place(gpu=gpu, batch=batch, pipeline=pipeline, torch=torch, is_compiled=is_compiled)
        cell = published.get(place, NoFigure.NOT_GIVEN)
        if isinstance(cell, NoFigure):
            return Speed(value=None, why_none=_WORDS.get(cell, cell.value))
        return Speed(value=cell)

    return Gain(plain=look_up(is_compiled=False), compiled=look_up(is_compiled=True))


def measured_gain(cases: Mapping[str, Figures], pipeline: str, batch: int) -> Gain:
    """Return the measured speeds."""

    def look_up(*, is_compiled: bool) -> Speed:
        figures = cases.get(cell_name(pipeline, batch, is_compiled=is_compiled))
        value = steps_per_second(figures)
        if value is not None:
            return Speed(value=value)
        return Speed(value=None, why_none="not measured" if figures is None else why_none(figures) or "no loop")

    return Gain(plain=look_up(is_compiled=False), compiled=look_up(is_compiled=True))


def places() -> Iterator[tuple[str, int]]:
    """Yield every pipeline with each of its batch sizes."""
    yield from ((pipeline, batch) for pipeline, batches in BATCHES.items() for batch in batches)


def speed_lines(published: Mapping[Place, Cell], here: Measured | None) -> Iterator[str]:
    """Yield the table of speeds on the A100 and here."""
    yield (
        f"[{TITLE}]({LINK}), an {REFERENCE_GPU} with the nightly torch of 2023, in denoise steps per second; one step "
        f"processes the whole batch. [`diffusers_table.csv`]({_DATA}) has every cell of the page, for five GPUs and "
        f"two versions of torch."
    )
    yield ""
    yield from table([*_THEIR_HEADINGS, *(_OUR_HEADINGS if here else ())], list(_speed_rows(published, here)))
    yield ""
    yield _first_stage(published, here)


def _speed_rows(published: Mapping[Place, Cell], here: Measured | None) -> Iterator[list[str]]:
    for pipeline, batch in places():
        there = published_gain(published, REFERENCE_GPU, pipeline, batch)
        cells = [f"`{pipeline}`", str(batch), str(there.plain), str(there.compiled), _ratio(there)]
        yield [*cells, *(_our_cells(here, there, pipeline, batch) if here else ())]


def _our_cells(here: Measured, there: Gain, pipeline: str, batch: int) -> list[str]:
    own = measured_gain(here.cases, pipeline, batch)
    relative = times(own.ratio / there.ratio) if own.ratio and there.ratio else NOT_YET
    figures = here.cases.get(cell_name(pipeline, batch, is_compiled=True))
    compile_cell = compile_time(figures) if figures and own.compiled.value else NOT_YET
    return [str(own.plain), str(own.compiled), _ratio(own), relative, compile_cell]


def _ratio(gain: Gain) -> str:
    return times(gain.ratio) if gain.ratio else NOT_YET


def _first_stage(published: Mapping[Place, Cell], here: Measured | None) -> str:
    """Return the speedup of IF's first stage, which is the most launch-bound pipeline."""
    there = published_gain(published, REFERENCE_GPU, *_FIRST_STAGE)
    text = (
        f"Compilation speeds up IF's first stage by {there} on the {REFERENCE_GPU} ({there.compiled} / {there.plain})"
    )
    if here is None:
        return f"{text}."
    own = measured_gain(here.cases, *_FIRST_STAGE)
    if not own.ratio or not there.ratio:
        return f"{text}; here: {own}."
    relative = f"{times(own.ratio / there.ratio)} the {REFERENCE_GPU}'s"
    return f"{text}; here {own} ({own.compiled} / {own.plain}), which is {relative}."


def gain_lines(published: Mapping[Place, Cell], here: Measured | None) -> Iterator[str]:
    """Yield the table of speedups by compilation on every GPU of the page, and here."""
    headings = ["pipeline", "batch", *GPUS, f"{REFERENCE_GPU}, {Torch.STABLE}", *(["here"] if here else [])]
    rows = []
    for pipeline, batch in places():
        theirs = [str(published_gain(published, gpu, pipeline, batch)) for gpu in GPUS]
        older = str(published_gain(published, REFERENCE_GPU, pipeline, batch, Torch.STABLE))
        own = [str(measured_gain(here.cases, pipeline, batch))] if here else []
        rows.append([f"`{pipeline}`", str(batch), *theirs, older, *own])
    yield from table(headings, rows)
