"""SDXL's ladders: the six rows of the article, and the current recipes."""

from collections.abc import Mapping
from functools import partial

from benchmarks.on_gpu.cells import aligned, compile_time, gib, seconds, why_none
from benchmarks.on_gpu.command import Case, Command, Figures
from benchmarks.on_gpu.measuring import Run, measure_run
from benchmarks.on_gpu.setting import Setting
from pytest_diffopt.recipes.ladders import Level, ladder
from pytest_diffopt.statistics.intervals import median

_PIPELINE = "sdxl"
_ARTICLE, _TODAY = "diffusion-fast", "modern"
_HEADINGS = ("level", "call", "speedup", "compile time", "peak memory")


def _levels(setting: Setting, name: str) -> tuple[Level, ...]:
    return ladder(name, _PIPELINE, setting.scale, on_gpu=setting.device.is_gpu)


def _cases(setting: Setting) -> list[Case]:
    """Return a case for each level; levels that autotune every kernel are last, because they compile for minutes."""
    article = _levels(setting, _ARTICLE)
    autotuned = [level for level in article if "max-autotune" in level.recipe]
    quick = [level for level in article if level not in autotuned]
    steps = setting.pick(measured=30, rehearsed=2)
    return [
        Case(
            name=level.test_id,
            measure=partial(measure_run, setting, Run(pipeline=_PIPELINE, recipe=level.recipe, steps=steps)),
        )
        for level in (*quick, *_levels(setting, _TODAY), *autotuned)
    ]


def _table(setting: Setting, seen: Mapping[str, Figures]) -> list[str]:
    article, today = _levels(setting, _ARTICLE), _levels(setting, _TODAY)
    first = seen.get(article[0].test_id)
    rows = [_row(level.test_id, seen.get(level.test_id), first) for level in (*article, *today)]
    times = {
        level.test_id: _call_seconds(seen[level.test_id]) for level in today if not why_none(seen.get(level.test_id))
    }
    best = [f"fastest level of {_TODAY}: {min(times, key=times.__getitem__)}"] if times else []
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
