"""The diffusers page's table: six pipelines, three batches, compiled or not, in denoise steps a second.

The steps are those of the denoise loop alone, and fewer than the page's fifty: each takes as long as the one before.
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
#: Each pipeline's batches, as in the page: only the first stage of IF draws more than one image.
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
# Compiled or not, and the batch: both kinds and every pipeline, in a third of the cells.
_REHEARSED = ((False, 4), (True, 1))
_MEASURED_STEPS = 10
_HEADINGS = ("pipeline", "batch", "not compiled", "compiled", "gain", "compiling")


def _cases(setting: Setting) -> list[Case]:
    """Return every cell; what compiles comes after all that does not, and larger batches after smaller ones."""
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
    """Return the page's own recipe: half precision, channels_last, and the denoiser compiled."""
    plain = "fp16 + sdpa + channels_last"
    if not is_compiled:
        return plain
    target = ", ".join(f'"{name}"' for name in ("denoiser", *_ALSO_COMPILED.get(pipeline, ())))
    return f'{plain} + compile(target=[{target}], mode="reduce-overhead", fullgraph=True)'


def cell_name(pipeline: str, batch: int, *, is_compiled: bool) -> str:
    """Return the name of the case that measures a cell."""
    return f"{pipeline} batch {batch} {'compiled' if is_compiled else 'not compiled'}"


def _table(_setting: Setting, seen: Mapping[str, Figures]) -> list[str]:
    rows = [_row(pipeline, batch, seen) for pipeline, batches in BATCHES.items() for batch in batches]
    return [*aligned([_HEADINGS, *rows]), "denoise steps a second, the loop alone; one step draws the whole batch"]


def _row(pipeline: str, batch: int, seen: Mapping[str, Figures]) -> tuple[str, ...]:
    plain, compiled = (seen.get(cell_name(pipeline, batch, is_compiled=one)) for one in _COMPILED)
    speeds = [steps_a_second(one) for one in (plain, compiled)]
    gain = f"{speeds[1] / speeds[0]:.2f} x" if speeds[0] and speeds[1] else ""
    compiling = compile_time(compiled) if compiled is not None and speeds[1] else ""
    cells = [f"{speed:.2f}" if speed else why_none(one) for speed, one in zip(speeds, (plain, compiled), strict=True)]
    return (pipeline, str(batch), *cells, gain, compiling)


def steps_a_second(figures: Figures | None) -> float | None:
    """Return the speed of the denoise loop; None where it was not timed."""
    if figures is None or why_none(figures) or not figures["loop_seconds"]:
        return None
    return float(figures["loop_steps"] / median(figures["loop_seconds"]))


TABLE = Command(name="table", summary="six pipelines, batch 1, 4 and 16, compiled or not", cases=_cases, table=_table)
