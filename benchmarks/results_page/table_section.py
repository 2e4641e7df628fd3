"""The table of the diffusers page: steps a second here and on the A100, and what compiling gains on each GPU."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from benchmarks.on_gpu.cells import NOT_YET, compile_time, why_none
from benchmarks.on_gpu.command import Figures
from benchmarks.on_gpu.throughput import BATCHES, cell_name, steps_per_second
from benchmarks.results_page.markdown import speed, table, times
from benchmarks.results_page.measured import Measured
from benchmarks.results_page.published_table import GPUS, LINK, TITLE, Cell, NoFigure, Place, Torch

#: The GPU whose speeds stand beside ours: all six pipelines ran on it, and the article climbed its ladder there.
BESIDE = "A100"
_DATA = "https://github.com/pytest-diffopt/pytest-diffopt/blob/main/benchmarks/results_page/diffusers_table.csv"
_FIRST_STAGE = ("deepfloyd-if-1", 1)
_WORDS = {NoFigure.FAILED: "failed", NoFigure.NOT_GIVEN: "not given"}
_THEIR_HEADINGS = ("pipeline", "batch", BESIDE, "compiled", "gain")
_OUR_HEADINGS = ("here", "compiled", "gain", "gain here ÷ there", "compiling")


@dataclass(frozen=True, kw_only=True, slots=True)
class Speed:
    """One cell: denoise steps a second, or in words why there are none."""

    value: float | None
    why_none: str = ""

    def __str__(self) -> str:
        """Write it."""
        return self.why_none if self.value is None else speed(self.value)


@dataclass(frozen=True, kw_only=True, slots=True)
class Gain:
    """What compiling one pipeline at one batch comes to on one GPU."""

    plain: Speed
    compiled: Speed

    @property
    def ratio(self) -> float | None:
        """How many times as fast it is compiled; None where one of the two has no speed."""
        return self.compiled.value / self.plain.value if self.compiled.value and self.plain.value else None

    def __str__(self) -> str:
        """Write it; what has no speed says why."""
        if self.ratio:
            return times(self.ratio)
        return self.plain.why_none or self.compiled.why_none


def published_gain(
    published: Mapping[Place, Cell], gpu: str, pipeline: str, batch: int, torch: Torch = Torch.NIGHTLY
) -> Gain:
    """Return what the page says of a GPU; a row that it lacks was not given."""

    def look_up(*, is_compiled: bool) -> Speed:
        place = Place(gpu=gpu, batch=batch, pipeline=pipeline, torch=torch, is_compiled=is_compiled)
        cell = published.get(place, NoFigure.NOT_GIVEN)
        if isinstance(cell, NoFigure):
            return Speed(value=None, why_none=_WORDS.get(cell, cell.value))
        return Speed(value=cell)

    return Gain(plain=look_up(is_compiled=False), compiled=look_up(is_compiled=True))


def measured_gain(cases: Mapping[str, Figures], pipeline: str, batch: int) -> Gain:
    """Return what was measured here."""

    def look_up(*, is_compiled: bool) -> Speed:
        figures = cases.get(cell_name(pipeline, batch, is_compiled=is_compiled))
        value = steps_per_second(figures)
        if value is not None:
            return Speed(value=value)
        return Speed(value=None, why_none="not measured" if figures is None else why_none(figures) or "no loop")

    return Gain(plain=look_up(is_compiled=False), compiled=look_up(is_compiled=True))


def places() -> Iterator[tuple[str, int]]:
    """Yield every pipeline with each of its batches."""
    yield from ((pipeline, batch) for pipeline, batches in BATCHES.items() for batch in batches)


def speed_lines(published: Mapping[Place, Cell], here: Measured | None) -> Iterator[str]:
    """Yield speeds on the A100 and here, side by side."""
    yield (
        f"[{TITLE}]({LINK}), an {BESIDE} with the nightly torch of 2023; denoise steps a second, one step draws the "
        f"whole batch. Every cell of the page, of five GPUs and two versions of torch, stands in "
        f"[`diffusers_table.csv`]({_DATA})."
    )
    yield ""
    yield from table([*_THEIR_HEADINGS, *(_OUR_HEADINGS if here else ())], list(_speed_rows(published, here)))
    yield ""
    yield _first_stage(published, here)


def _speed_rows(published: Mapping[Place, Cell], here: Measured | None) -> Iterator[list[str]]:
    for pipeline, batch in places():
        there = published_gain(published, BESIDE, pipeline, batch)
        cells = [f"`{pipeline}`", str(batch), str(there.plain), str(there.compiled), _ratio(there)]
        yield [*cells, *(_our_cells(here, there, pipeline, batch) if here else ())]


def _our_cells(here: Measured, there: Gain, pipeline: str, batch: int) -> list[str]:
    own = measured_gain(here.cases, pipeline, batch)
    beside = times(own.ratio / there.ratio) if own.ratio and there.ratio else NOT_YET
    figures = here.cases.get(cell_name(pipeline, batch, is_compiled=True))
    compiling = compile_time(figures) if figures and own.compiled.value else NOT_YET
    return [str(own.plain), str(own.compiled), _ratio(own), beside, compiling]


def _ratio(gain: Gain) -> str:
    return times(gain.ratio) if gain.ratio else NOT_YET


def _first_stage(published: Mapping[Place, Cell], here: Measured | None) -> str:
    """Say what compiling gains where launching takes the most: IF's first stage."""
    there = published_gain(published, BESIDE, *_FIRST_STAGE)
    told = f"Compiling makes IF's first stage {there} as fast on the {BESIDE} ({there.compiled} / {there.plain})"
    if here is None:
        return f"{told}."
    own = measured_gain(here.cases, *_FIRST_STAGE)
    if not own.ratio or not there.ratio:
        return f"{told}; here: {own}."
    as_much = "at least as much" if own.ratio >= there.ratio else "less"
    return f"{told}; here {own} ({own.compiled} / {own.plain}), {as_much}: {times(own.ratio / there.ratio)} of it."


def gain_lines(published: Mapping[Place, Cell], here: Measured | None) -> Iterator[str]:
    """Yield what compiling gains on every GPU of the page."""
    headings = ["pipeline", "batch", *GPUS, f"{BESIDE}, {Torch.STABLE}", *(["here"] if here else [])]
    rows = []
    for pipeline, batch in places():
        theirs = [str(published_gain(published, gpu, pipeline, batch)) for gpu in GPUS]
        older = str(published_gain(published, BESIDE, pipeline, batch, Torch.STABLE))
        own = [str(measured_gain(here.cases, pipeline, batch))] if here else []
        rows.append([f"`{pipeline}`", str(batch), *theirs, older, *own])
    yield from table(headings, rows)
