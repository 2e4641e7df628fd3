"""SDXL's ladders: the article's six rows, and what one would do today."""

from collections.abc import Mapping
from functools import partial

from benchmarks.on_gpu.cells import aligned, compile_time, gib, seconds, why_none
from benchmarks.on_gpu.command import Case, Command, Figures
from benchmarks.on_gpu.measuring import Run, measure_run
from benchmarks.on_gpu.setting import Setting
from pytest_diffopt.recipes.ladders import Rung, ladder
from pytest_diffopt.statistics.intervals import median

_PIPELINE = "sdxl"
_ARTICLE, _TODAY = "diffusion-fast", "modern"
_HEADINGS = ("rung", "a call", "times the first", "compiling", "peak memory")


def _rungs(setting: Setting, name: str) -> tuple[Rung, ...]:
    return ladder(name, _PIPELINE, setting.scale, on_gpu=not setting.is_rehearsal)


def _cases(setting: Setting) -> list[Case]:
    """Return the rungs; those that autotune every kernel come last, for they take many minutes to compile."""
    article = _rungs(setting, _ARTICLE)
    autotuned = [rung for rung in article if "max-autotune" in rung.recipe]
    quick = [rung for rung in article if rung not in autotuned]
    steps = setting.pick(measured=30, rehearsed=2)
    return [
        Case(
            name=rung.test_id,
            measure=partial(measure_run, setting, Run(pipeline=_PIPELINE, recipe=rung.recipe, steps=steps)),
        )
        for rung in (*quick, *_rungs(setting, _TODAY), *autotuned)
    ]


def _table(setting: Setting, seen: Mapping[str, Figures]) -> list[str]:
    article, today = _rungs(setting, _ARTICLE), _rungs(setting, _TODAY)
    first = seen.get(article[0].test_id)
    rows = [_row(rung.test_id, seen.get(rung.test_id), first) for rung in (*article, *today)]
    times = {rung.test_id: _call_seconds(seen[rung.test_id]) for rung in today if not why_none(seen.get(rung.test_id))}
    best = [f"today's best rung: {min(times, key=times.__getitem__)}"] if times else []
    return [*aligned([_HEADINGS, *rows]), *best]


def _row(name: str, figures: Figures | None, first: Figures | None) -> tuple[str, ...]:
    reason = why_none(figures)
    if figures is None or reason:
        return (name, reason, "", "", "")
    ratio = "" if first is None or why_none(first) else f"{_call_seconds(first) / _call_seconds(figures):.2f} x"
    memory = gib(figures["peak_allocated_bytes"])
    return (name, seconds(_call_seconds(figures)), ratio, compile_time(figures), memory)


def _call_seconds(figures: Figures) -> float:
    return median(figures["call_seconds"])


LADDER = Command(name="ladder", summary="SDXL's ladders, 30 steps, 1024 x 1024", cases=_cases, table=_table)
