"""The fixtures: what a marker names, built once and handed to the tests."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import pytest

from pytest_diffopt.environment import torch_device
from pytest_diffopt.errors import PipelineError
from pytest_diffopt.plugin.markers import NamedPipeline
from pytest_diffopt.records import Device
from pytest_diffopt.session.baseline_owner import case_of
from pytest_diffopt.session.config_stash import settings_of, store_of, watched_pipelines_of

if TYPE_CHECKING:
    from pytest_diffopt.api.compile_counts import CompileGate
    from pytest_diffopt.api.image_baseline import ImageGate
    from pytest_diffopt.api.stored_gates import CountGate, LatencyGate, MemoryGate
    from pytest_diffopt.paired.gate import PairedGate
    from pytest_diffopt.pipelines.inputs import PipelineInputs
    from pytest_diffopt.recipes.recipe import Recipe

_PLAIN_RECIPE = "fp32"


@pytest.fixture(scope="session")
def diffopt_pipeline(request: pytest.FixtureRequest) -> NamedPipeline:
    """The pipeline that the marker names, and its scale."""
    named: NamedPipeline = _parameter(request, "pipeline")
    return named


@pytest.fixture(scope="session")
def diffopt_recipe(request: pytest.FixtureRequest) -> "Recipe":
    """The recipe that the marker names; its `apply` works on any pipeline."""
    recipe: Recipe = _parameter(request, "recipe")
    return recipe


@pytest.fixture(scope="session")
def diffopt_device(request: pytest.FixtureRequest) -> str:
    """Torch's name of the device that pipelines of this session are on: `cpu`, or with `--gpu` the accelerator's."""
    return torch_device(_device(request))


@pytest.fixture(scope="session")
def optimized_pipeline(
    request: pytest.FixtureRequest, diffopt_pipeline: NamedPipeline, diffopt_recipe: "Recipe"
) -> Iterator[Any]:
    """The marker's pipeline with its recipe, warmed up when that compiles. Override it with your own."""
    yield from _build(request, diffopt_pipeline, diffopt_recipe)


@pytest.fixture(scope="session")
def simulated_pipeline(
    request: pytest.FixtureRequest, diffopt_pipeline: NamedPipeline, diffopt_recipe: "Recipe"
) -> Any:
    """The same for the simulated GPU alone: at full scale it has no weights, and is there in seconds on any machine."""
    from pytest_diffopt.plugin.pipeline_building import pipeline_without_weights  # noqa: PLC0415 - imports torch

    if settings_of(request.config).use_gpu:
        pytest.skip("this pipeline has no weights: it runs on the simulated GPU, by a run without --gpu")
    return pipeline_without_weights(diffopt_pipeline, diffopt_recipe, watched_pipelines_of(request.config))


@pytest.fixture(scope="session")
def diffopt_reference_recipe(request: pytest.FixtureRequest) -> "Recipe":
    """The plain recipe of `reference_pipeline`: fp32, and the marker's scheduler and models where it names others."""
    from pytest_diffopt.recipes.grammar import parse_recipe  # noqa: PLC0415 - imports torch

    return parse_recipe(getattr(request, "param", _PLAIN_RECIPE))


@pytest.fixture(scope="session")
def reference_pipeline(
    request: pytest.FixtureRequest, diffopt_pipeline: NamedPipeline, diffopt_reference_recipe: "Recipe"
) -> Iterator[Any]:
    """The same pipeline, weights and all, with the plain recipe; also the scheduler is that of the marker's recipe."""
    yield from _build(request, diffopt_pipeline, diffopt_reference_recipe)


@pytest.fixture
def diffopt_batch(request: pytest.FixtureRequest) -> int | None:
    """How many images the marker asks of one call; None leaves it to the pipeline."""
    batch: int | None = getattr(request, "param", None)
    return batch


@pytest.fixture
def pipeline_inputs(diffopt_pipeline: NamedPipeline, diffopt_batch: int | None) -> "PipelineInputs":
    """Keywords for one call of the pipeline, the same at every call. Override it for a pipeline of your own."""
    return diffopt_pipeline.family.batched_inputs(diffopt_pipeline.scale, diffopt_batch)


@pytest.fixture
def pipeline_variations(diffopt_pipeline: NamedPipeline) -> "Sequence[PipelineInputs]":
    """Calls that differ as calls do in production: prompt, guidance, steps, seed, scheduler. Override it for yours."""
    from pytest_diffopt.pipelines.call_changes import with_changes  # noqa: PLC0415 - only tests that ask for it

    family, scale = diffopt_pipeline.family, diffopt_pipeline.scale
    # a chain of pipelines has a scheduler for each, and none of its own
    return family.variations(scale) if family.stages else with_changes(family.variations(scale))


@pytest.fixture
def pipeline_shape_variations(diffopt_pipeline: NamedPipeline) -> "Sequence[PipelineInputs]":
    """Calls that give the models other shapes: guidance off, batch, resolution. Override it for your own."""
    from pytest_diffopt.pipelines.call_changes import shape_variations  # noqa: PLC0415 - only tests that ask for it

    return shape_variations(diffopt_pipeline.family.inputs(diffopt_pipeline.scale))


@pytest.fixture
def latency_baseline(request: pytest.FixtureRequest) -> "LatencyGate | PairedGate":
    """The accepted latency of this test on this machine: `latency_baseline.check(pipeline, **inputs)`."""
    from pytest_diffopt.api.stored_gates import LatencyGate  # noqa: PLC0415 - imports msgspec

    if settings_of(request.config).is_paired_worker:
        return _paired_gate(request)
    has_benchmark = request.config.pluginmanager.hasplugin("benchmark")
    return LatencyGate(
        case=case_of(request.node),
        store=store_of(request.config),
        settings=settings_of(request.config),
        # Asked for only when there are samples: pytest-benchmark complains of a fixture that is not used.
        benchmark=lambda: request.getfixturevalue("benchmark") if has_benchmark else None,
    )


def _paired_gate(request: pytest.FixtureRequest) -> "PairedGate":
    from pytest_diffopt.paired.gate import PairedGate  # noqa: PLC0415 - only a worker of the paired gate needs it
    from pytest_diffopt.paired.worker import CONTROLLER  # noqa: PLC0415 - as above

    return PairedGate(controller=request.config.stash[CONTROLLER], settings=settings_of(request.config))


@pytest.fixture
def memory_baseline(request: pytest.FixtureRequest) -> "MemoryGate":
    """The accepted peak memory of this test on this machine: `memory_baseline.check(pipeline, **inputs)`."""
    from pytest_diffopt.api.stored_gates import MemoryGate  # noqa: PLC0415 - imports msgspec

    return MemoryGate(case=case_of(request.node), store=store_of(request.config), settings=settings_of(request.config))


@pytest.fixture
def count_baseline(request: pytest.FixtureRequest) -> "CountGate":
    """The accepted counts of this test on the simulated GPU: `count_baseline.check(pipeline, **inputs)`."""
    from pytest_diffopt.api.stored_gates import CountGate  # noqa: PLC0415 - imports msgspec

    return CountGate(case=case_of(request.node), store=store_of(request.config), settings=settings_of(request.config))


@pytest.fixture
def compile_baseline(request: pytest.FixtureRequest) -> "CompileGate":
    """What compiling this test's pipeline was accepted to come to: `compile_baseline.check(pipeline, **inputs)`."""
    from pytest_diffopt.api.compile_counts import CompileGate  # noqa: PLC0415 - imports msgspec

    return CompileGate(case=case_of(request.node), store=store_of(request.config), settings=settings_of(request.config))


@pytest.fixture
def image_baseline(
    request: pytest.FixtureRequest,
    diffopt_reference_recipe: "Recipe",  # noqa: ARG001 - asked for here, so that the marker's is there once it learns
) -> "ImageGate":
    """The accepted images of this test, and how far others may be: `image_baseline.check(pipeline, **inputs)`."""
    from pytest_diffopt.api.image_baseline import ImageGate  # noqa: PLC0415 - imports msgspec

    return ImageGate(
        case=case_of(request.node),
        store=store_of(request.config),
        settings=settings_of(request.config),
        fixture=lambda name: _if_there_is_one(request, name),
    )


def _if_there_is_one(request: pytest.FixtureRequest, name: str) -> Any:
    try:
        return request.getfixturevalue(name)
    except PipelineError:  # nobody says which pipeline, so there is none but the user's own
        return None


def _parameter(request: pytest.FixtureRequest, keyword: str) -> Any:
    if not hasattr(request, "param"):
        msg = (
            f"the marker must say which {keyword}: @pytest.mark.diffopt({keyword}=...); "
            "or override optimized_pipeline, pipeline_inputs and pipeline_variations with your own"
        )
        raise PipelineError(msg)
    return request.param


def _build(request: pytest.FixtureRequest, named: NamedPipeline, recipe: "Recipe") -> Iterator[Any]:
    """Build, apply, warm up, hand over; then free the memory and Dynamo's caches before the next one is built."""
    from pytest_diffopt.plugin.pipeline_building import built_pipeline  # noqa: PLC0415 - imports torch

    settings = settings_of(request.config)
    with built_pipeline(named, recipe, _device(request), settings, watched_pipelines_of(request.config)) as pipeline:
        yield pipeline


def _device(request: pytest.FixtureRequest) -> Device:
    return Device.CUDA if settings_of(request.config).use_gpu else Device.CPU
