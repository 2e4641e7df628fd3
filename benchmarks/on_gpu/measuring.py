"""Measure one pipeline with one recipe with the plugin's probes: compile time, latency and peak memory."""

from dataclasses import dataclass
from typing import Any

import torch

from benchmarks.on_gpu.command import Figures
from benchmarks.on_gpu.setting import Setting
from pytest_diffopt.environment import torch_device
from pytest_diffopt.pipelines.family import BuiltPipeline
from pytest_diffopt.pipelines.inputs import PipelineInputs
from pytest_diffopt.pipelines.loading import build_pipeline
from pytest_diffopt.pipelines.registry import find_pipeline
from pytest_diffopt.probes.calls import repeatable_call
from pytest_diffopt.probes.compile_log import CompileLog
from pytest_diffopt.probes.latency import Call, measure_latency
from pytest_diffopt.probes.loop_times import time_loops
from pytest_diffopt.probes.memory import measure_peak_memory_cuda
from pytest_diffopt.probes.out_of_memory import DeviceMemoryError
from pytest_diffopt.probes.timed_device import TimedDevice, timed_device
from pytest_diffopt.recipes.grammar import parse_recipe
from pytest_diffopt.records import CompilationRecord, LatencyRecord, Subject

_NS_PER_SECOND = 1e9
_LEAST_SAMPLES = 3
_MOST_SAMPLES = 5


@dataclass(frozen=True, kw_only=True, slots=True)
class Run:
    """One measured call.

    Attributes:
        pipeline: name of the pipeline.
        recipe: text of the recipe.
        steps: denoise steps of one call; image-to-image runs fewer, depending on its strength.
        batch: images of one call; None for the pipeline's default.
    """

    pipeline: str
    recipe: str
    steps: int
    batch: int | None = None

    def inputs(self, setting: Setting) -> PipelineInputs:
        """Return the keywords of its call."""
        plain = find_pipeline(self.pipeline).batched_inputs(setting.scale, self.batch)
        return plain.varied(plain.label, num_inference_steps=self.steps)


def measure_run(setting: Setting, run: Run) -> Figures:
    """Measure one run; out of memory, or a recipe that the machine cannot run, is a result.

    Returns:
        `call_seconds`, `warmup_seconds` (the first call compiles), `compile_seconds`, `loop_seconds` and
        `loop_steps`, `peak_allocated_bytes` (None on a CPU), and further context.
    """
    unmet = parse_recipe(run.recipe).why_unavailable(torch.device(torch_device(setting.device)))
    if unmet:
        return {"unavailable": unmet}
    try:
        return _measured(setting, run)
    except DeviceMemoryError as error:
        return {"out_of_memory": error.when, "reason": str(error)}
    except torch.OutOfMemoryError as error:
        return {"out_of_memory": "while it was built", "reason": str(error).splitlines()[0]}


def built(setting: Setting, run: Run) -> tuple[BuiltPipeline, Subject]:
    """Build a pipeline and apply its recipe."""
    one = build_pipeline(find_pipeline(run.pipeline), setting.scale, device=torch_device(setting.device))
    recipe = parse_recipe(run.recipe)
    recipe.apply(one.pipeline)
    subject = Subject(
        pipeline=run.pipeline, scale=setting.scale, recipe=str(recipe), weights=one.weights, device=setting.device
    )
    return one, subject


def _measured(setting: Setting, run: Run) -> Figures:
    with CompileLog() as log:
        start = log.mark()
        one, subject = built(setting, run)
        device = timed_device(setting.device)
        call = repeatable_call(one.pipeline, (), run.inputs(setting))
        latency = _latency(setting, call, subject, device)
        compilation = log.since(start, subject)
    figures = {"recipe": subject.recipe, "weights": one.origin} | _times(latency) | _compiling(compilation)
    return figures | _loops(one.pipeline, call, device) | _memory(setting, call, subject)


def _latency(setting: Setting, call: Call, subject: Subject, device: TimedDevice) -> LatencyRecord:
    return measure_latency(
        call,
        synchronize=device.synchronize,
        subject=subject,
        max_seconds=setting.pick(measured=20.0, rehearsed=1.0),
        min_samples=_LEAST_SAMPLES,
        max_samples=_MOST_SAMPLES,
        meter=device.meter,
    )


def _times(record: LatencyRecord) -> dict[str, Any]:
    return {
        "call_seconds": _seconds(record.samples_ns),
        "warmup_seconds": _seconds(record.warmup_ns),
        "throttled_seconds": _seconds(record.throttled_ns),
        "is_warm": record.is_warm,
    }


def _compiling(record: CompilationRecord) -> dict[str, Any]:
    return {
        "compile_seconds": sum(frame.compile_ns for frame in record.frames) / _NS_PER_SECOND,
        "compile_cache": sorted({str(frame.cache) for frame in record.frames}),
        "compiled_frames": len(record.frames),
        "graph_breaks": len(record.breaks),
    }


def _loops(pipeline: Any, call: Call, device: TimedDevice) -> dict[str, Any]:
    loops = time_loops(pipeline, call, device=device, each_step=False)
    return {
        "loop_seconds": _seconds(tuple(loop.loop_ns for loop in loops)),
        "loop_steps": loops[0].num_steps if loops else 0,
    }


def _memory(setting: Setting, call: Call, subject: Subject) -> dict[str, Any]:
    if not setting.device.is_gpu:
        return {"peak_allocated_bytes": None}
    try:
        record = measure_peak_memory_cuda(call, subject)
    except DeviceMemoryError as error:  # the probe's first call is about the pipeline's tenth
        raise DeviceMemoryError(str(error), when="after warm-up") from None
    return {"peak_allocated_bytes": record.peak_allocated_bytes, "peak_reserved_bytes": record.peak_reserved_bytes}


def _seconds(times_ns: tuple[int, ...]) -> list[float]:
    return [time_ns / _NS_PER_SECOND for time_ns in times_ns]
