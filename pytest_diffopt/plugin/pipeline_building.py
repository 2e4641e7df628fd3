"""Named pipelines are built, optimized, warmed up, used and freed."""

import gc
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch

from pytest_diffopt._torch_private.structured_trace import trace_not_captured
from pytest_diffopt.environment import accelerator_kind, torch_device
from pytest_diffopt.errors import ProbeError
from pytest_diffopt.guards.compilation import judge_graph_breaks
from pytest_diffopt.pipelines.components import modules_of
from pytest_diffopt.pipelines.loading import build_pipeline, build_without_weights
from pytest_diffopt.plugin.markers import NamedPipeline
from pytest_diffopt.probes.compilation import watch_warmup
from pytest_diffopt.probes.compile_failures import failures_explained
from pytest_diffopt.probes.out_of_memory import memory_errors_explained
from pytest_diffopt.probes.own_calls import call_of
from pytest_diffopt.recipes.recipe import Recipe
from pytest_diffopt.records import Device, Subject, Weights
from pytest_diffopt.session.active_test import active_test
from pytest_diffopt.session.pipeline_lifetimes import WatchedPipelines
from pytest_diffopt.session.settings import Settings

#: The CPU memory that ended pipelines may keep in reference cycles: that of a dozen tiny pipelines.
_MOST_BYTES_LEFT_OVER = 128 * 2**20


@contextmanager
def built_pipeline(
    named: NamedPipeline, recipe: Recipe, device: Device, settings: Settings, pipelines: WatchedPipelines
) -> Iterator[Any]:
    """Build a pipeline with its recipe, and free its memory and Dynamo's caches at the end.

    A pipeline whose recipe compiles is warmed up with one plain call, so that every later test runs compiled code and
    the compile log contains its compilation.
    """
    reason = recipe.why_unavailable(torch.device(torch_device(device)))
    if reason:
        pytest.skip(reason)
    _release_memory(pipelines)  # pytest still references a fixture's value during its teardown; it is free only now
    pipeline = None
    try:
        what = f"pipeline {named.family.name} ({named.scale}), recipe {recipe}"
        with memory_errors_explained(what, when="while it was built"):
            pipeline = _build(named, recipe, device, settings, pipelines)
        yield pipeline
    finally:
        pipelines.ended.update(modules_of(pipeline).values())
        if recipe.compiles:
            # Compiled code belongs to functions, not to pipelines: the next pipeline of the same classes would reuse
            # it, and Dynamo stops compiling a function after eight versions.
            torch.compiler.reset()


def _build(
    named: NamedPipeline, recipe: Recipe, device: Device, settings: Settings, pipelines: WatchedPipelines
) -> Any:
    start = pipelines.log.mark()
    progress = active_test().progress
    progress(f"building {named.family.name} ({named.scale})")
    built = build_pipeline(
        named.family, named.scale, device=torch_device(device), weights_folder=settings.weights_folder
    )
    pipeline = recipe.apply(built.pipeline)
    subject = _subject(named, recipe, built.weights, device)
    pipelines.register(pipeline, subject, start)
    if recipe.compiles:
        inputs = named.family.inputs(named.scale)
        progress(f"compiling {named.family.name} ({named.scale}), recipe {recipe}")
        start_ns = time.perf_counter_ns()
        lifetime = pipelines.lifetime_of(pipeline)
        with trace_not_captured(), failures_explained(), call_of(pipeline):
            warmup = watch_warmup(pipelines.log_of(lifetime), lifetime.start, lambda: pipeline(**inputs), subject)
        pipelines.note_warm(
            pipeline,
            first_call_ns=time.perf_counter_ns() - start_ns,
            compile_ns=sum(frame.compile_ns for frame in warmup.frames),
        )
        if warmup.ended_by_fullgraph:
            # the error is shown with its own "diffopt: " prefix
            raise ProbeError("\n".join(judge_graph_breaks(warmup).explanation).removeprefix("diffopt: "))
    return pipeline


def pipeline_without_weights(named: NamedPipeline, recipe: Recipe, pipelines: WatchedPipelines) -> Any:
    """Build a pipeline for the simulated GPU only: at full scale its parameters have shapes and no values."""
    start = pipelines.log.mark()
    built = build_without_weights(named.family, named.scale)
    built.pipeline.set_progress_bar_config(disable=True)
    pipeline = recipe.apply(built.pipeline)
    pipelines.register(pipeline, _subject(named, recipe, built.weights, Device.SIMULATED), start)
    return pipeline


def _subject(named: NamedPipeline, recipe: Recipe, weights: Weights, device: Device) -> Subject:
    return Subject(pipeline=named.family.name, scale=named.scale, recipe=str(recipe), weights=weights, device=device)


def _release_memory(pipelines: WatchedPipelines) -> None:
    """Free the memory of ended pipelines.

    Reference counting frees most of it. Cycles need a full garbage collection, which takes half a second with torch
    loaded, longer than a small pipeline takes to build and call; so several small ones are collected together. On an
    accelerator every ended pipeline is collected: compiled code keeps memory there that belongs to no module.
    """
    kind = accelerator_kind()
    if kind or _bytes_held(pipelines.ended) > _MOST_BYTES_LEFT_OVER:
        gc.collect()
        pipelines.ended.clear()  # what is still referenced is the user's
    if kind:
        torch.get_device_module(kind).empty_cache()


def _bytes_held(modules: Iterable[torch.nn.Module]) -> int:
    return sum(parameter.nbytes for module in modules for parameter in module.parameters())
