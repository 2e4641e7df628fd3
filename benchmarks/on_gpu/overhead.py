"""Measure the overhead of each guard's probe on a full-size call: interleaved calls with and without it.

The compile log and the loop timer are active in timed runs. The other probes watch separate calls, so their overhead
only makes a test slower.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from benchmarks.on_gpu.cells import aligned, seconds, why_none
from benchmarks.on_gpu.command import Case, Command, Figures
from benchmarks.on_gpu.measuring import Run, built
from benchmarks.on_gpu.setting import Setting
from pytest_diffopt.environment import torch_device
from pytest_diffopt.pipelines.inputs import PipelineInputs
from pytest_diffopt.probes.calls import failures_noted, repeatable_call
from pytest_diffopt.probes.compile_log import CompileLog
from pytest_diffopt.probes.image_results import generate
from pytest_diffopt.probes.latency import Call, measure_ratio
from pytest_diffopt.probes.loop_times import time_loop
from pytest_diffopt.probes.syncs import watch_syncs
from pytest_diffopt.probes.timed_device import device_synchronizer
from pytest_diffopt.records import Concern, Subject
from pytest_diffopt.statistics.intervals import median, ratio_interval

_LIMIT = 0.005
_NS_PER_SECOND = 1e9
# Regional compilation takes half a minute, and its launch overhead is as low as any compilation's.
_RECIPE = 'bf16 + sdpa + compile(target=["denoiser"], regional=True)'
_HEADINGS = ("probe", "call without", "overhead", "99 % interval", f"{_LIMIT:.1%} allowed")

_Watched = Callable[[Any, PipelineInputs, Subject], Call]


def _nothing(pipeline: Any, inputs: PipelineInputs, _subject: Subject) -> Call:
    """Return a call without a probe, as the baseline of the other rows."""
    return repeatable_call(pipeline, (), inputs)


def _syncs(pipeline: Any, inputs: PipelineInputs, subject: Subject) -> Call:
    def call() -> None:
        with watch_syncs(pipeline, subject) as watch, failures_noted(pipeline, Concern.SYNCS, subject):
            repeatable_call(pipeline, (), watch.moved(dict(inputs)))()

    return call


def _compilation(pipeline: Any, inputs: PipelineInputs, _subject: Subject) -> Call:
    plain = repeatable_call(pipeline, (), inputs)

    def call() -> None:
        with CompileLog():
            plain()

    return call


def _result(pipeline: Any, inputs: PipelineInputs, _subject: Subject) -> Call:
    return partial(generate, pipeline, repeatable_call(pipeline, (), inputs), inputs)


def _loop(pipeline: Any, inputs: PipelineInputs, subject: Subject) -> Call:
    return partial(
        time_loop,
        pipeline,
        repeatable_call(pipeline, (), inputs),
        synchronize=device_synchronizer(torch_device(subject.device)),
        clock=time.perf_counter_ns,
    )


_WATCHES: dict[str, _Watched] = {
    "none (the same call twice)": _nothing,
    "compilation": _compilation,
    "loop time": _loop,
    "syncs": _syncs,
    "images and latents": _result,
}


def _cases(setting: Setting) -> list[Case]:
    return [Case(name=name, measure=partial(_measure, setting, watched)) for name, watched in _WATCHES.items()]


def _measure(setting: Setting, watched: _Watched) -> Figures:
    run = Run(pipeline="sdxl", recipe=_RECIPE, steps=setting.pick(measured=30, rehearsed=2))
    one, subject = built(setting, run)
    inputs = run.inputs(setting)
    record = measure_ratio(
        watched(one.pipeline, inputs, subject),
        repeatable_call(one.pipeline, (), inputs),
        synchronize=device_synchronizer(torch_device(setting.device)),
        subject=subject,
        reference=replace(subject, recipe=f"{subject.recipe}, unwatched"),
        max_seconds=setting.pick(measured=60.0, rehearsed=1.0),
        min_rounds=setting.pick(measured=10, rehearsed=2),
    )
    return {
        "recipe": subject.recipe,
        "weights": one.origin,
        "watched_seconds": [time_ns / _NS_PER_SECOND for time_ns in record.subject_ns],
        "unwatched_seconds": [time_ns / _NS_PER_SECOND for time_ns in record.reference_ns],
    }


def _table(_setting: Setting, seen: Mapping[str, Figures]) -> list[str]:
    return list(aligned([_HEADINGS, *(_row(name, seen.get(name)) for name in _WATCHES)]))


def _row(name: str, figures: Figures | None) -> tuple[str, ...]:
    reason = why_none(figures)
    if figures is None or reason:
        return (name, reason, "", "", "")
    added = ratio_interval(figures["watched_seconds"], figures["unwatched_seconds"])
    interval = f"{added.low - 1:+.2%} to {added.high - 1:+.2%}"
    return (
        name,
        seconds(median(figures["unwatched_seconds"])),
        f"{added.ratio - 1:+.2%}",
        interval,
        _outcome(added.low, added.high),
    )


def _outcome(low: float, high: float) -> str:
    if high <= 1 + _LIMIT:
        return "passed"
    return "failed" if low > 1 + _LIMIT else "inconclusive"


OVERHEAD = Command(name="overhead", summary="the overhead of each guard's probe on SDXL", cases=_cases, table=_table)
