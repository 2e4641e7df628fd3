"""The table of diffusers' docs: six pipelines, three batch sizes, compiled or not, in denoise steps per second.

Only the denoise loop is timed. It has fewer steps than the 50 of the docs, because every step takes the same time.
"""

from collections.abc import Mapping
from functools import partial
from itertools import product

from benchmarks.on_gpu.cells import aligned, compile_time, why_none
from benchmarks.on_gpu.command import Case, Command, Figures
from benchmarks.on_gpu.measuring import Run, measure_run
from benchmarks.on_gpu.setting import Setting
from pytest_diffopt.statistics.intervals import median

_EVERY_BATCH = (1, 4, 16)
#: Batch sizes of each pipeline, as in the docs: only the first stage of IF generates more than one image.
BATCHES = {
    "sd15": _EVERY_BATCH,
    "sd15-img2img": _EVERY_BATCH,
    "sd15-inpaint": _EVERY_BATCH,
    "sd15-controlnet": _EVERY_BATCH,
    "deepfloyd-if-1": _EVERY_BATCH,
    "deepfloyd-if-2": (1,),
    "deepfloyd-if-3": (1,),
    "sdxl": _EVERY_BATCH,
}
_ALSO_COMPILED = {"sd15-controlnet": ("controlnet",)}
_COMPILED = (False, True)
# (is compiled, batch size): both kinds and every pipeline, in a third of the cells.
_REHEARSED = ((False, 4), (True, 1))
_MEASURED_STEPS = 10
_HEADINGS = ("pipeline", "batch", "not compiled", "compiled", "speedup", "compile time")


def _cases(setting: Setting) -> list[Case]:
    """Return a case for each cell: compiled cells after the others, larger batches after smaller ones."""
    cells = [
        (is_compiled, batch, pipeline)
        for is_compiled, batch in setting.pick(measured=tuple(product(_COMPILED, _EVERY_BATCH)), rehearsed=_REHEARSED)
        for pipeline, batches in BATCHES.items()
        if batch in batches
    ]
    return [
        Case(
            name=cell_name(pipeline, batch, is_compiled=is_compiled),
            measure=partial(measure_run, setting, _run(setting, pipeline, batch, is_compiled=is_compiled)),
        )
        for is_compiled, batch, pipeline in cells
    ]


def _run(setting: Setting, pipeline: str, batch: int, *, is_compiled: bool) -> Run:
    return Run(
        pipeline=pipeline,
        recipe=_recipe(pipeline, is_compiled=is_compiled),
        steps=setting.pick(measured=_MEASURED_STEPS, rehearsed=2),
        batch=batch,
    )


def _recipe(pipeline: str, *, is_compiled: bool) -> str:
    """Return the recipe of the docs: half precision, channels_last, and the denoiser compiled.

    Two compiled models in one step have no CUDA graphs: each replay of the second is a new generation for torch, which
    then refuses the outputs of the first.
    """
    plain = "fp16 + sdpa + channels_last"
    if not is_compiled:
        return plain
    others = _ALSO_COMPILED.get(pipeline, ())
    target = ", ".join(f'"{name}"' for name in ("denoiser", *others))
    mode = "" if others else ', mode="reduce-overhead"'
    return f"{plain} + compile(target=[{target}]{mode}, fullgraph=True)"


def cell_name(pipeline: str, batch: int, *, is_compiled: bool) -> str:
    """Return the name of the case that measures a cell."""
    return f"{pipeline} batch {batch} {'compiled' if is_compiled else 'not compiled'}"


def _table(_setting: Setting, seen: Mapping[str, Figures]) -> list[str]:
    rows = [_row(pipeline, batch, seen) for pipeline, batches in BATCHES.items() for batch in batches]
    return [
        *aligned([_HEADINGS, *rows]),
        "denoise steps per second of the loop alone; one step processes the whole batch",
    ]


def _row(pipeline: str, batch: int, seen: Mapping[str, Figures]) -> tuple[str, ...]:
    plain, compiled = (seen.get(cell_name(pipeline, batch, is_compiled=one)) for one in _COMPILED)
    speeds = [steps_per_second(one) for one in (plain, compiled)]
    speedup = f"{speeds[1] / speeds[0]:.2f} x" if speeds[0] and speeds[1] else ""
    compile_cell = compile_time(compiled) if compiled is not None and speeds[1] else ""
    cells = [f"{speed:.2f}" if speed else why_none(one) for speed, one in zip(speeds, (plain, compiled), strict=True)]
    return (pipeline, str(batch), *cells, speedup, compile_cell)


def steps_per_second(figures: Figures | None) -> float | None:
    """Return the denoise steps per second of the loop; None if it was not timed."""
    if figures is None or why_none(figures) or not figures["loop_seconds"]:
        return None
    return float(figures["loop_steps"] / median(figures["loop_seconds"]))


TABLE = Command(name="table", summary="six pipelines, batch 1, 4 and 16, compiled or not", cases=_cases, table=_table)
