"""SDXL's ladder: the article's six levels there and here, their shares of the roofline, and the modern levels."""

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

_MODERN = "modern"
_PIPELINE = "sdxl"
_UNKNOWN = "unknown"
_TERA = 1e12
_THEIR_HEADINGS = ("level", "adds", "article", "speedup", "roofline share")
_OUR_HEADINGS = ("here", "speedup", "here ÷ article", "roofline share", "compile time", "peak memory")
_MODERN_HEADINGS = ("level", "here", "speedup", "roofline share", "compile time", "peak memory")


@dataclass(frozen=True, kw_only=True, slots=True)
class MeasuredLadder:
    """The measured levels of the ladders on one machine.

    Attributes:
        cases: figures of each level, by name.
        first: name of the level to which speedups refer.
        counted: counted FLOPs and allocations of the levels.
        gpu: GPU model of the machine; None if its peaks are unknown.
        why_no_gpu: reason why the peaks are unknown; empty if they are known.
    """

    cases: Mapping[str, Figures]
    first: str
    counted: CountedLevels
    gpu: GPUModel | None = None
    why_no_gpu: str = ""

    @classmethod
    def of(cls, measured: Measured, article: PublishedTimes, counted: CountedLevels) -> "MeasuredLadder":
        """Return the ladders of a results file."""
        first, own = article.rows[0].name, gpu_model_by_cuda_name(measured.machine.device)
        if measured.is_rehearsal:
            why = "A rehearsal runs tiny pipelines, for which no roofline is computed."
        elif own is None:
            known = ", ".join(known_gpu_models())
            why = f"No roofline: the peaks of {measured.machine.device} are unknown; known: {known}."
        else:
            return cls(cases=measured.cases, first=first, counted=counted, gpu=own)
        return cls(cases=measured.cases, first=first, counted=counted, why_no_gpu=why)

    def seconds(self, level: str) -> float | None:
        """Return the median time of a call; None if the level has no times."""
        figures = self.cases.get(level)
        return None if figures is None or why_none(figures) else median(figures["call_seconds"])

    def gain(self, level: str) -> float | None:
        """Return the speedup of a level over the first level; None if either has no time."""
        first, own = self.seconds(self.first), self.seconds(level)
        return first / own if first and own else None

    def roofline_share(self, level: str) -> float | None:
        """Return the roofline's time for a level as a share of its time; None if unknown."""
        known, own = self.counted.levels.get(level), self.seconds(level)
        if known is None or known.unmodelled or own is None or self.gpu is None or level in self.with_other_recipe():
            return None
        return least_seconds(known, self.gpu) / own

    def with_other_recipe(self) -> list[str]:
        """Return the levels that were timed with a different recipe than counted."""
        counted = self.counted.levels
        return [name for name in counted if self.seconds(name) and self.cases[name]["recipe"] != counted[name].recipe]


def modern_levels() -> list[str]:
    """Return the names of the levels of the modern ladder."""
    return [level.test_id for level in ladder(_MODERN, _PIPELINE, Scale.FULL, on_gpu=True)]


def article_lines(article: PublishedTimes, counted: CountedLevels, here: MeasuredLadder | None) -> Iterator[str]:
    """Yield the article's ladder, with the measured figures."""
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


def modern_lines(article: PublishedTimes, here: MeasuredLadder) -> Iterator[str]:
    """Yield the measured levels of the modern ladder."""
    yield from table(_MODERN_HEADINGS, [[f"`{name}`", *_cells(name, here)] for name in modern_levels()])
    yield ""
    gains = {name: gain for name in modern_levels() if (gain := here.gain(name))}
    if not gains:
        yield "No modern level has a speedup over the article's first level."
        return
    best = max(gains, key=gains.__getitem__)
    last = here.gain(article.rows[-1].name)
    over_last = f", {times(gains[best] / last)} over its last level" if last else ""
    yield f"The fastest modern level is `{best}`: {times(gains[best])} over the article's first level here{over_last}."


def _theirs(row: PublishedRow, article: PublishedTimes, counted: CountedLevels) -> list[str]:
    level = counted.levels[row.name]
    share = _UNKNOWN if level.unmodelled else percent(least_seconds(level, gpu_model(article.gpu)) / row.seconds)
    return [f"{row.seconds:.2f} s", times(article.gains()[row.name]), share]


def _ours(name: str, article: PublishedTimes, here: MeasuredLadder) -> list[str]:
    time, ratio, *others = _cells(name, here)
    gain = here.gain(name)
    return [time, ratio, times(gain / article.gains()[name]) if gain else NOT_YET, *others]


def _cells(name: str, here: MeasuredLadder) -> list[str]:
    """Return a level's time, speedup, roofline share, compile time and memory."""
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


def _total(article: PublishedTimes, here: MeasuredLadder | None) -> str:
    """Return the speedup of all levels together, in the article and here."""
    first, last = article.rows[0], article.rows[-1]
    there = (
        f"All levels together: {times(article.total)} in the article ({first.seconds:.2f} s to {last.seconds:.2f} s)"
    )
    if here is None:
        return f"{there}."
    gain = here.gain(last.name)
    if gain is None:
        return f"{there}; here the first or the last level has no time."
    return f"{there}; here {times(gain)}, which is {times(gain / article.total)} the article's."


def _roofline_lines(counted: CountedLevels, here: MeasuredLadder | None) -> Iterator[str]:
    """Yield how the roofline shares are computed, and why some are unknown."""
    flops = sorted({level.flops for level in counted.levels.values()})
    span = " to ".join(f"{one / _TERA:.0f}" for one in dict.fromkeys((flops[0], flops[-1])))
    yield (
        f"The roofline share is the minimum time that the GPU's peaks allow, divided by the measured time. The minimum "
        f"is computed from the FLOPs and bytes counted on the simulated GPU ({counted.setting}: {span} TFLOP). The "
        f"peak of float32 is TF32's, and that of int8 and fp8 is bfloat16's, which their products may exceed."
    )
    for name, why in counted.not_counted.items():
        yield f"`{name}` was not counted: {why}."
    if here is None:
        return
    if here.why_no_gpu:
        yield here.why_no_gpu
        return
    yield from (f"`{name}` was timed with a different recipe than counted." for name in here.with_other_recipe())
