"""What the fixtures return. Imported when the first diffopt test asks for a fixture, because it imports torch."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, TypeVar

import pytest

from pytest_diffopt.api.baseline_gate import BaselineGate
from pytest_diffopt.api.compile_baseline import CompileGate
from pytest_diffopt.api.count_baseline import CountGate
from pytest_diffopt.api.effect_baseline import EffectGate
from pytest_diffopt.api.image_baseline import ImageGate
from pytest_diffopt.api.kernel_baseline import KernelGate
from pytest_diffopt.api.latency_baseline import LatencyGate
from pytest_diffopt.api.memory_baseline import MemoryGate
from pytest_diffopt.environment import torch_device
from pytest_diffopt.errors import PipelineError
from pytest_diffopt.paired.call_timing import CallTimer
from pytest_diffopt.paired.worker import CONTROLLER
from pytest_diffopt.pipelines.call_changes import shape_variations, with_changes
from pytest_diffopt.pipelines.inputs import PipelineInputs
from pytest_diffopt.plugin.markers import NamedPipeline
from pytest_diffopt.plugin.pipeline_building import built_pipeline, pipeline_without_weights
from pytest_diffopt.recipes.grammar import parse_recipe
from pytest_diffopt.recipes.recipe import Recipe
from pytest_diffopt.records import Device
from pytest_diffopt.session.baseline_owner import owner_of
from pytest_diffopt.session.baseline_store import store_of
from pytest_diffopt.session.count_request import count_request
from pytest_diffopt.session.device import device_of
from pytest_diffopt.session.pipeline_lifetimes import watched_pipelines_of
from pytest_diffopt.session.settings import settings_of

_Gate = TypeVar("_Gate", bound=BaselineGate)

__all__ = [
    "built",
    "compile_gate",
    "count_gate",
    "image_gate",
    "kernel_gate",
    "latency_gate",
    "marker_parameter",
    "memory_gate",
    "parse_recipe",
    "shape_variations_of",
    "simulated_pipeline",
    "torch_device_of",
    "variations",
]


def marker_parameter(request: pytest.FixtureRequest, keyword: str) -> Any:
    """Return what the marker names.

    Raises:
        PipelineError: the marker names nothing for this keyword.
    """
    if not hasattr(request, "param"):
        msg = (
            f"the marker must name the {keyword}: @pytest.mark.diffopt({keyword}=...); "
            "or override optimized_pipeline, pipeline_inputs and pipeline_variations with your own"
        )
        raise PipelineError(msg)
    return request.param


def torch_device_of(config: pytest.Config) -> str:
    """Return the torch device of this session's pipelines."""
    return torch_device(_device(config))


def built(config: pytest.Config, named: NamedPipeline, recipe: Recipe) -> AbstractContextManager[Any]:
    """Build a pipeline with its recipe for a block; afterwards its memory and Dynamo's caches are freed.

    A process that was started to count a call builds it without weights, for the simulated GPU only.
    """
    if count_request() is not None:
        return nullcontext(pipeline_without_weights(named, recipe, watched_pipelines_of(config)))
    return built_pipeline(named, recipe, _device(config), settings_of(config), watched_pipelines_of(config))


def simulated_pipeline(config: pytest.Config, named: NamedPipeline, recipe: Recipe) -> Any:
    """Return a pipeline for the simulated GPU only."""
    if settings_of(config).use_gpu:
        pytest.skip("this pipeline has no weights: it runs on the simulated GPU, by a run without --diffopt-gpu")
    return pipeline_without_weights(named, recipe, watched_pipelines_of(config))


def variations(named: NamedPipeline) -> Sequence[PipelineInputs]:
    """Return calls that vary as in production."""
    family, scale = named.family, named.scale
    # a chain of pipelines has one scheduler per stage and none of its own
    return family.variations(scale) if family.stages else with_changes(family.variations(scale))


def shape_variations_of(named: NamedPipeline) -> Sequence[PipelineInputs]:
    """Return calls with other shapes for the models."""
    return shape_variations(named.family.inputs(named.scale))


def latency_gate(request: pytest.FixtureRequest) -> LatencyGate:
    """Return the gate of latency, which in a worker of a paired session serves the controller."""
    config = request.config
    has_benchmark = config.pluginmanager.hasplugin("benchmark")
    is_worker = settings_of(config).is_paired_worker
    timer = CallTimer(controller=config.stash[CONTROLLER], settings=settings_of(config)) if is_worker else None
    return _gate(
        LatencyGate,
        request,
        # requested only when there are samples: pytest-benchmark warns of a fixture that is not used
        benchmark=lambda: request.getfixturevalue("benchmark") if has_benchmark else None,
        serve_pair=timer.serve if timer else None,
    )


def memory_gate(request: pytest.FixtureRequest) -> MemoryGate:
    """Return the gate of peak memory."""
    return _gate(MemoryGate, request)


def count_gate(request: pytest.FixtureRequest) -> CountGate:
    """Return the gate of counts."""
    return _gate(CountGate, request)


def effect_gate(request: pytest.FixtureRequest) -> EffectGate:
    """Return the gate of effects."""
    return _gate(EffectGate, request)


def kernel_gate(request: pytest.FixtureRequest) -> KernelGate:
    """Return the gate of kernels."""
    return _gate(KernelGate, request)


def compile_gate(request: pytest.FixtureRequest) -> CompileGate:
    """Return the gate of compilation."""
    return _gate(CompileGate, request)


def image_gate(request: pytest.FixtureRequest) -> ImageGate:
    """Return the gate of images."""
    return _gate(ImageGate, request, fixture=_other_fixture(request))


def _gate(kind: type[_Gate], request: pytest.FixtureRequest, **more: Any) -> _Gate:
    config = request.config
    return kind(owner=owner_of(request.node), store=store_of(config), settings=settings_of(config), **more)


def _other_fixture(request: pytest.FixtureRequest) -> Callable[[str], Any]:
    def value(name: str) -> Any:
        try:
            return request.getfixturevalue(name)
        except PipelineError:  # no marker names a pipeline, so there is none but the user's own
            return None

    return value


def _device(config: pytest.Config) -> Device:
    return device_of(settings_of(config))
