"""SDXL's ladder: the article's six levels there and here, their shares of the roofline, and the levels of today."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from benchmarks.on_gpu.cells import NOT_YET, compile_time, gib, seconds, why_none
from benchmarks.on_gpu.command import Figures
from benchmarks.results_page.counted import CountedLevels, least_seconds
from benchmarks.results_page.markdown import percent, table, times
from benchmarks.results_page.measured import Measured
from benchmarks.results_page.published_times import PublishedRow, PublishedTimes
from pytest_diffopt.pipelines.scale import Scale
from pytest_diffopt.recipes.ladders import ladder
from pytest_diffopt.simulated_gpu.cost.gpus import GPUModel, gpu_model, gpu_model_by_cuda_name, known_gpu_models
from pytest_diffopt.statistics.intervals import median

_TODAY = "modern"
_PIPELINE = "sdxl"
_UNKNOWN = "not known"
_TERA = 1e12
_THEIR_HEADINGS = ("level", "it adds", "article", "times the first", "of the roofline")
_OUR_HEADINGS = ("here", "times the first", "here ÷ article", "of the roofline", "compiling", "peak memory")
_TODAYS_HEADINGS = ("level", "here", "times the article's first", "of the roofline", "compiling", "peak memory")


@dataclass(frozen=True, kw_only=True, slots=True)
class Climb:
    """What was timed of the ladders on one machine.

    Attributes:
        cases: what each level gave, by its name.
        first: the name of the level that the others are compared with.
        counted: what the levels do.
        gpu: the machine's, where its peaks are known.
        why_no_gpu: why they are not; empty where they are.
    """

    cases: Mapping[str, Figures]
    first: str
    counted: CountedLevels
    gpu: GPUModel | None = None
    why_no_gpu: str = ""

    @classmethod
    def of(cls, measured: Measured, article: PublishedTimes, counted: CountedLevels) -> "Climb":
        """Return what a file holds."""
        first, own = article.rows[0].name, gpu_model_by_cuda_name(measured.machine.device)
        if measured.is_rehearsal:
            why = "A rehearsal is of tiny pipelines, and has no roofline."
        elif own is None:
            why = f"Peaks are known for {', '.join(known_gpu_models())}, not for {measured.machine.device}."
        else:
            return cls(cases=measured.cases, first=first, counted=counted, gpu=own)
        return cls(cases=measured.cases, first=first, counted=counted, why_no_gpu=why)

    def seconds(self, level: str) -> float | None:
        """Return the median time of a call; None where none was timed."""
        figures = self.cases.get(level)
        return None if figures is None or why_none(figures) else median(figures["call_seconds"])

    def gain(self, level: str) -> float | None:
        """Return how many times as fast as the first level one is."""
        first, own = self.seconds(self.first), self.seconds(level)
        return first / own if first and own else None

    def roofline_share(self, level: str) -> float | None:
        """Return the least time for a level as a share of its time; None where it is not known."""
        known, own = self.counted.levels.get(level), self.seconds(level)
        if known is None or known.unmodelled or own is None or self.gpu is None or level in self.otherwise_made():
            return None
        return least_seconds(known, self.gpu) / own

    def otherwise_made(self) -> list[str]:
        """Return the levels that were timed with another recipe than was counted."""
        counted = self.counted.levels
        return [name for name in counted if self.seconds(name) and self.cases[name]["recipe"] != counted[name].recipe]


def todays_levels() -> list[str]:
    """Return the names of the levels that one would climb today."""
    return [level.test_id for level in ladder(_TODAY, _PIPELINE, Scale.FULL, on_gpu=True)]


def article_lines(article: PublishedTimes, counted: CountedLevels, here: Climb | None) -> Iterator[str]:
    """Yield the article's ladder, and beside it what was measured."""
    yield f"[{article.title}]({article.link}): {article.setting}."
    yield ""
    rows = [
        [f"`{row.name}`", row.adds, *_theirs(row, article, counted), *(_ours(row.name, article, here) if here else ())]
        for row in article.rows
    ]
    yield from table([*_THEIR_HEADINGS, *(_OUR_HEADINGS if here else ())], rows, num_texts=2)
    yield ""
    yield _total(article, here)
    yield ""
    yield from _roofline_lines(counted, here)


def today_lines(article: PublishedTimes, here: Climb) -> Iterator[str]:
    """Yield the levels of today, which the article could not climb."""
    yield from table(_TODAYS_HEADINGS, [[f"`{name}`", *_cells(name, here)] for name in todays_levels()])
    yield ""
    gains = {name: gain for name in todays_levels() if (gain := here.gain(name))}
    if not gains:
        yield "No level of today has a time beside the article's first one."
        return
    best = max(gains, key=gains.__getitem__)
    last = here.gain(article.rows[-1].name)
    past = f", {times(gains[best] / last)} the article's last level here" if last else ""
    yield f"Today's best level is `{best}`: {times(gains[best])} the article's first one{past}."


def _theirs(row: PublishedRow, article: PublishedTimes, counted: CountedLevels) -> list[str]:
    level = counted.levels[row.name]
    share = _UNKNOWN if level.unmodelled else percent(least_seconds(level, gpu_model(article.gpu)) / row.seconds)
    return [f"{row.seconds:.2f} s", times(article.gains()[row.name]), share]


def _ours(name: str, article: PublishedTimes, here: Climb) -> list[str]:
    time, ratio, *others = _cells(name, here)
    gain = here.gain(name)
    return [time, ratio, times(gain / article.gains()[name]) if gain else NOT_YET, *others]


def _cells(name: str, here: Climb) -> list[str]:
    """Return a level's time, gain, share of the roofline, compile time and memory."""
    figures, own, gain, share = here.cases.get(name), here.seconds(name), here.gain(name), here.roofline_share(name)
    if figures is None or own is None:
        return ["not measured" if figures is None else why_none(figures), *[NOT_YET] * 4]
    return [
        seconds(own),
        times(gain) if gain else NOT_YET,
        percent(share) if share else _UNKNOWN,
        compile_time(figures),
        gib(figures["peak_allocated_bytes"]),
    ]


def _total(article: PublishedTimes, here: Climb | None) -> str:
    """Say what all levels together gain, there and here."""
    first, last = article.rows[0], article.rows[-1]
    there = (
        f"All levels together: {times(article.total)} in the article ({first.seconds:.2f} s to {last.seconds:.2f} s)"
    )
    if here is None:
        return f"{there}."
    gain = here.gain(last.name)
    if gain is None:
        return f"{there}; here the first or the last level has no time."
    as_much = "at least as much" if gain >= article.total else "less"
    return f"{there}; here {times(gain)}, {as_much}: {times(gain / article.total)} of it."


def _roofline_lines(counted: CountedLevels, here: Climb | None) -> Iterator[str]:
    """Say what the roofline's shares rest on, and why some are not known."""
    flops = sorted({level.flops for level in counted.levels.values()})
    span = " to ".join(f"{one / _TERA:.0f}" for one in dict.fromkeys((flops[0], flops[-1])))
    yield (
        f"The roofline is the least time that the GPU's peaks allow for what was counted on the simulated GPU "
        f"({counted.setting}: {span} TFLOP): float32 is held to the peak of TF32, int8 and fp8 to that of bfloat16, "
        f"which their products may exceed."
    )
    for name, why in counted.not_counted.items():
        yield f"`{name}` was not counted: {why}."
    if here is None:
        return
    if here.why_no_gpu:
        yield here.why_no_gpu
        return
    yield from (f"`{name}` was timed with another recipe than was counted." for name in here.otherwise_made())
